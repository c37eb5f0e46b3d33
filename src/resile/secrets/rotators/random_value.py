"""Rotate a value that only our own services compare: a fresh random text."""

import secrets
import string
from collections.abc import Mapping
from typing import Any, Final, Self

from resile.core.clock import Clock
from resile.secrets.model import Turn
from resile.secrets.port import Provider

ALPHABET: Final = string.ascii_letters + string.digits + "-_"


class RandomRotator:
    """Makes random texts. There is no target: what compares is told as a consumer. Safe between threads.

    Between the promotion and the acknowledgement of the last consumer some send the new value and some
    the old one. Who compares with `current` alone refuses one of them, so no overlap is promised; who takes
    `previous`, too, refuses none.

    Args:
        length: Characters, of 6 bits each. Default 43: 256 bits.
    """

    kind: Final = "random"
    has_overlap: Final = False

    def __init__(self, *, length: int = 43) -> None:
        self._length = length

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        provider: Provider,  # noqa: ARG003 - every rotator is opened with the same
        clock: Clock,  # noqa: ARG003 - as above
    ) -> Self:
        """Open what the table `rotator` says."""
        return cls(length=settings.get("length", 43))

    def prepare(self, turn: Turn) -> bytes:  # noqa: ARG002 - one text is as good as another
        """Make a text."""
        return "".join(secrets.choice(ALPHABET) for _ in range(self._length)).encode()

    def set(self, turn: Turn) -> None:
        """Do nothing: there is no target."""

    def verify(self, turn: Turn) -> None:
        """Do nothing: there is no target."""

    def retire(self, turn: Turn) -> None:
        """Do nothing: the provider destroys the old value."""

    def abort(self, turn: Turn) -> None:
        """Do nothing: the provider destroys the candidate."""
