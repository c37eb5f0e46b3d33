"""Gives each secret that is rotated its first version: by its first rotation, when it has none yet."""

import logging
from collections.abc import Iterable
from math import inf
from typing import Final

from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import ConfigError, ResileError, UnknownSecretError
from resile.secrets import Provider
from resile.secrets.rotation import Rotations

logger = logging.getLogger(__name__)

WHO: Final = "secretkeeper"
WHY: Final = "it has no version yet"
AGAIN_S_MIN, AGAIN_S_MAX = 2.0, 3600.0
"""Between two attempts: its target may be starting just now, or need an operator. Twice as long each time."""


class Births:
    """Lives in one thread.

    Args:
        names: The secrets that have a rotator.
        provider: Tells which of them have a version.
        rotations: Rotate them.
        clock: Paces attempts.
    """

    def __init__(
        self, names: Iterable[str], *, provider: Provider, rotations: Rotations, clock: Clock
    ) -> None:
        self._provider = provider
        self._rotations = rotations
        self._clock = clock
        self._due_s = dict.fromkeys(sorted(names), -inf)
        self._wait_s = dict.fromkeys(self._due_s, AGAIN_S_MIN)

    def step(self) -> None:
        """Make what is missing and due; of what has a version, nothing is asked any more.

        Blocks as `Rotations.rotate` does. What fails is logged, and tried again.
        """
        for name, due_s in tuple(self._due_s.items()):
            if self._clock.monotonic() < due_s:
                continue
            try:
                is_done = self._has_version(name) or self._make(name)
            except ResileError as exc:
                fields: dict[str, object] = {"secret": name, "why": exc.message}
                logger.warning(log_line("secretkeeper.not_made", fields), extra=fields)
                is_done = isinstance(exc, ConfigError)  # Only another configuration mends that.
            if is_done:
                del self._due_s[name]
            else:
                self._due_s[name] = self._clock.monotonic() + self._wait_s[name]
                self._wait_s[name] = min(2 * self._wait_s[name], AGAIN_S_MAX)

    def _has_version(self, name: str) -> bool:
        """Tell whether it has or had one: what was revoked is not made again by itself."""
        try:
            versions = self._provider.history(name)
        except UnknownSecretError:
            return False
        return any(one.stage is not SecretStage.PENDING for one in versions)

    def _make(self, name: str) -> bool:
        """Rotate it; tell whether it has a version now. One that only waits for consumers has."""
        self._rotations.rotate(name, reason=RotationReason.SCHEDULED, who=WHO, why=WHY)
        return self._has_version(name)
