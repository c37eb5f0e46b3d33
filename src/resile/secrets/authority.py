"""Whoever changes secrets goes through here: it tells the journal and the consumers of each change."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from resile.core.clock import Clock
from resile.core.events import SecretRevoked, SecretsRekeyed, SecretWritten
from resile.core.events.envelope import Payload
from resile.core.ids import new_id
from resile.core.vocabulary import SecretStage
from resile.errors import (
    ConfigError,
    OperationError,
    ResileError,
    SecretConflictError,
    SecretRevokedError,
)
from resile.secrets.advice import Advice
from resile.secrets.checking import unknown_version
from resile.secrets.doctor import advise
from resile.secrets.model import CURRENT_VERSION, Version
from resile.secrets.port import Consumers, Provider, WritableProvider
from resile.secrets.rotation import Rotations
from resile.secrets.value import Secret

ALL_VERSIONS = ""
UNTOLD_MAX = 1000
"""Records that wait for a journal that can be written again; they are lost with this process."""


@runtime_checkable
class Rekeyed(Protocol):
    """A provider with a master key of its own."""

    def rekey(self) -> int:
        """Seal everything with a new master key; give how many versions there were."""
        ...


class Authority:
    """Reads and changes secrets for operators. Safe to share between threads. It caches nothing.

    What it does is done when the provider says so; then consumers are told, and the journal. So an error of the
    journal comes after the change, and says that; `settle` tells it again. Each call may be made again.

    Args:
        provider: Keeps the secrets.
        rotations: What rotates them; None if nothing does.
        tell: Journals; durable when it returns.
        clock: Stamps.
        consumers: Who uses them; None if nobody is known.
    """

    def __init__(
        self,
        provider: Provider,
        rotations: Rotations | None,
        *,
        tell: Callable[[Payload], Any],
        clock: Clock,
        consumers: Consumers | None = None,
    ) -> None:
        self._provider = provider
        self._rotations = rotations
        self._tell = tell
        self._clock = clock
        self._consumers = consumers
        self._untold: deque[Payload] = deque()

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret; who asks is recorded elsewhere.

        Raises:
            SecretError: As the provider's.
        """
        return self._provider.read(name, version=version)

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted."""
        return self._provider.names()

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions of a secret, the newest first."""
        return self._provider.history(name)

    def put(self, name: str, value: bytes, *, who: str, expect: str | None = None) -> Version:
        """Write a new current value.

        Args:
            name: The secret.
            value: Its bytes.
            who: Who wants it.
            expect: The number that must be current, "" for none; None: whatever is.

        Raises:
            ConfigError: If the provider takes no new values.
            SecretConflictError: If another version is current, or a rotation of it is open.
            OperationError: If it is written, but could not be journalled.
            SecretError: As the provider's.
        """
        if self._is_rotating(name):
            raise SecretConflictError(
                f"a rotation of {name} is open; nothing was written",
                hint=f"let it end, or call it off: resile secrets rollback {name}",
            )
        return self._written(name, value, who=who, expect=expect)

    def rollback(self, name: str, *, who: str) -> Version:
        """Write the previous value as a new version; a rotation that is open is called off instead.

        Raises:
            ConfigError: If the provider takes no new values.
            UnknownSecretError: If there is no previous version.
            SecretRevokedError: If the previous version was retired: its credential opens nothing any more.
            SecretConflictError: If somebody else changed it meanwhile.
            OperationError: If it is written, but could not be journalled.
            SecretError: As the provider's.
        """
        if self._rotations is not None and self._is_rotating(name):
            self._rotations.rollback(name, who=who)
            return self._current(name)
        try:
            previous = self._provider.read(name, version=SecretStage.PREVIOUS.value)
        except SecretRevokedError as exc:
            raise SecretRevokedError(
                f"the version of {name} before the current one was retired, and cannot come back",
                hint=f"rotate it anew, or put a new value: resile secrets put {name}",
            ) from exc
        current = self._current(name).number
        return self._written(
            name, previous.reveal_bytes(), who=who, expect=current, is_rollback=True
        )

    def revoke(self, name: str, version: str, *, who: str, why: str) -> None:
        """Destroy a version, or all of them, and let consumers drop what they hold of it.

        It opens its target still, until it is rotated there; but nobody gets it from here.

        Args:
            name: The secret.
            version: A number or a stage, as for `read`; "" for all versions that have a value.
            who: Who wants it.
            why: In words.

        Raises:
            ConfigError: If the provider takes no new values.
            UnknownSecretError: If there is no such version.
            OperationError: If it is done, but could not be journalled.
            SecretError: As the provider's.
        """
        writable = self._writable()
        numbers = self._meant(name, version)
        for number in numbers:
            writable.destroy(name, number)
        if self._consumers is not None:
            for number in (ALL_VERSIONS,) if version == ALL_VERSIONS else numbers:
                self._consumers.revoke(name, number)
        self._record(
            f"{name}: {f'version {version}' if version else 'every version'} is destroyed",
            *(SecretRevoked(name=name, number=number, who=who, why=why) for number in numbers),
        )

    def rekey(self, *, who: str) -> int:
        """Seal everything with a new master key; give how many versions there were.

        Raises:
            ConfigError: If the provider has no master key of its own.
            OperationError: If it is done, but could not be journalled.
            SecretError: As the provider's.
        """
        if not isinstance(self._provider, Rekeyed):
            raise ConfigError(
                f"the provider {self._provider.kind} has no master key here",
                hint="change it where the secrets are kept",
            )
        versions = self._provider.rekey()
        self._record(
            "every value is sealed with the new master key",
            SecretsRekeyed(versions=versions, who=who),
        )
        return versions

    def check(self) -> tuple[Advice, ...]:
        """Look for what is not as it should be; the worst first. Never fails for a provider that does."""
        return advise(self._provider, self._rotations, clock=self._clock)

    def settle(self) -> None:
        """Tell the journal what it could not take before. Call it from one thread, now and then.

        Raises:
            ResileError: If it cannot take it yet.
        """
        while self._untold:
            self._tell(self._untold[0])
            self._untold.popleft()

    def _record(self, done: str, *payloads: Payload) -> None:
        """Journal what is done; what is not taken is kept for `settle`, as far as there is room."""
        for index, payload in enumerate(payloads):
            try:
                self._tell(payload)
            except ResileError as exc:
                self._untold.extend(payloads[index:][: UNTOLD_MAX - len(self._untold)])
                raise OperationError(
                    f"{done}, but the journal has no record of it yet",
                    hint="it need not be done again; see why the journal cannot be written: resile status",
                ) from exc

    def _written(
        self, name: str, value: bytes, *, who: str, expect: str | None, is_rollback: bool = False
    ) -> Version:
        token = new_id("put", at=self._clock.now())
        version = self._writable().write(name, value, expect=expect, token=token)
        if self._consumers is not None:
            self._consumers.tell(name, version.number)
        self._record(
            f"{name}: version {version.number} is written, and is current",
            SecretWritten(name=name, number=version.number, who=who, is_rollback=is_rollback),
        )
        return version

    def _meant(self, name: str, version: str) -> tuple[str, ...]:
        history = self._provider.history(name)
        if version == ALL_VERSIONS:
            return tuple(one.number for one in history if one.stage is not SecretStage.RETIRED)
        for one in history:
            if version in (one.number, one.stage.value):
                return (one.number,)
        raise unknown_version(name, version)

    def _current(self, name: str) -> Version:
        for version in self._provider.history(name):
            if version.stage is SecretStage.CURRENT:
                return version
        raise SecretRevokedError(
            f"secret {name!r} has no current version",
            hint=f"put a new one: resile secrets put {name}",
        )

    def _is_rotating(self, name: str) -> bool:
        views = self._rotations.open() if self._rotations is not None else ()
        return any(view.name == name for view in views)

    def _writable(self) -> WritableProvider:
        if not isinstance(self._provider, WritableProvider):
            raise ConfigError(
                f"the provider {self._provider.kind} takes no new values",
                hint="change it where the secrets are kept; or keep them in local, vault or aws",
            )
        return self._provider
