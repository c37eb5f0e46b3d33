"""Ask the provider for a secret once, for all threads and tasks that want it at the same time."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.errors import ConfigError, OperationError, ProviderDownError
from resile.policies.flights import Flight
from resile.secrets.cache.memory import Key, Memory, again
from resile.secrets.cache.model import Outcome, Terms
from resile.secrets.cache.threads import Crew
from resile.secrets.model import CURRENT_VERSION
from resile.secrets.port import Provider
from resile.secrets.value import Secret

logger = logging.getLogger(__name__)

WAIT_S_MAX: Final = 30.0
"""For what somebody else asks for; providers bound their calls below it."""
ROUNDS_MAX: Final = 3
"""Of one question: what is read changes meanwhile, or whoever asks for all is stopped."""


class Asker:
    """Asks. Safe to share between threads and tasks.

    Args:
        provider: Whom.
        memory: What there is already, and who asks now.
        terms_of: How long the value of a name is served; asked after each reading.
        before: Called before the current version of a name is read.
        after: Called when something was read, or was not.
        seen: Called with each value that was read.
        is_kept_up: Tells whether values are read ahead in the background.
        clock: For all times.
    """

    def __init__(
        self,
        provider: Provider,
        memory: Memory,
        *,
        terms_of: Callable[[str], Terms],
        before: Callable[[str], None],
        after: Callable[[], None],
        seen: Callable[[Secret], None],
        is_kept_up: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._memory = memory
        self._terms_of = terms_of
        self._before = before
        self._after = after
        self._seen = seen
        self._is_kept_up = is_kept_up
        self._clock = clock
        self._now = clock.monotonic
        self._readers = Crew(name="resile-secrets-read")
        self._is_closed = False

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        self._readers.renew()

    def close(self) -> None:
        """Ask for nothing any more."""
        self._is_closed = True

    def get(self, key: Key) -> Secret:
        """Give what is in memory, or ask.

        Raises:
            SecretError: If there is nothing that may be served.
        """
        for _ in range(ROUNDS_MAX):
            found, flight, is_leader = self._look(key)
            if found is not None:
                return found
            outcome = self._lead(key, flight) if is_leader else self._wait(key, flight)
            if outcome is not None:
                return _given(outcome, is_own=is_leader)
        raise _given_up(key)

    async def aget(self, key: Key) -> Secret:
        """Give what is in memory, or ask without blocking the event loop."""
        for _ in range(ROUNDS_MAX):
            found, flight, is_leader = self._look(key)
            if found is not None:
                return found
            outcome = await self._await(key, flight, is_leader=is_leader)
            if outcome is not None:
                return _given(outcome, is_own=is_leader)
        raise _given_up(key)

    def refresh(self, name: str, instead_of: str | None) -> Secret:
        """Ask, whatever is in memory.

        Args:
            name: For the current version of what.
            instead_of: A version that will not do. What another one asks for at the same time will
                do if it brings a different one.

        Raises:
            SecretError: If the provider does not give it.
        """
        key = (name, CURRENT_VERSION)
        for _ in range(ROUNDS_MAX):
            flight, is_leader = self._join(key)
            outcome = self._lead(key, flight) if is_leader else self._wait(key, flight)
            if outcome is not None and (is_leader or _is_news(outcome, instead_of)):
                return _asked(outcome, is_own=is_leader)
        raise _given_up(key)

    async def arefresh(self, name: str, instead_of: str | None) -> Secret:
        """Ask without blocking the event loop; as `refresh`."""
        key = (name, CURRENT_VERSION)
        for _ in range(ROUNDS_MAX):
            flight, is_leader = self._join(key)
            outcome = await self._await(key, flight, is_leader=is_leader)
            if outcome is not None and (is_leader or _is_news(outcome, instead_of)):
                return _asked(outcome, is_own=is_leader)
        raise _given_up(key)

    def ahead(self, name: str) -> Outcome | None:
        """Ask for a name before anybody does; None if somebody does already."""
        key = (name, CURRENT_VERSION)
        flight, is_leader = self._memory.join(key)
        return self._lead(key, flight, is_used=False) if is_leader else None

    def _look(self, key: Key) -> tuple[Secret | None, Flight[Outcome], bool]:
        self._check_open()
        return self._memory.look(key, self._now(), is_kept_up=self._is_kept_up())

    def _join(self, key: Key) -> tuple[Flight[Outcome], bool]:
        self._check_open()
        return self._memory.join(key)

    def _lead(self, key: Key, flight: Flight[Outcome], *, is_used: bool = True) -> Outcome:
        """Ask for all who want it now. Whatever ends it, those who wait go on."""
        outcome = None
        try:
            outcome = self._read(key, is_used=is_used)
        finally:
            self._memory.land(key, flight, outcome)
        self._after()
        return outcome

    def _wait(self, key: Key, flight: Flight[Outcome]) -> Outcome | None:
        """Wait for what somebody else asks for; None if he was stopped."""
        has_landed = flight.wait(self._clock, WAIT_S_MAX)
        return flight.outcome if has_landed else self._in_vain(key)

    async def _await(self, key: Key, flight: Flight[Outcome], *, is_leader: bool) -> Outcome | None:
        """Wait for a flight; if it is a new one, have a thread ask, which a cancellation leaves alone."""
        if is_leader and not self._readers.submit(partial(self._lead, key, flight)):
            error = OperationError("no thread can be started to ask for a secret")
            self._memory.land(key, flight, Outcome(error=error))
        has_landed = await flight.await_landing(self._clock, WAIT_S_MAX)
        return flight.outcome if has_landed else self._in_vain(key)

    def _in_vain(self, key: Key) -> Outcome:
        """Give what is in memory after all, and why it is not what was waited for."""
        name, version = key
        error = ProviderDownError(
            f"there was no answer about secret {name!r} in {WAIT_S_MAX:g} s", hint="ask again"
        )
        kept = None if version != CURRENT_VERSION else self._memory.value_of(name, self._now())
        return Outcome(secret=kept, error=error, is_stale=kept is not None)

    def _read(self, key: Key, *, is_used: bool) -> Outcome:
        name, version = key
        if version == CURRENT_VERSION:
            self._before(name)
        for _ in range(ROUNDS_MAX):
            self._memory.begin(key)
            try:
                found = self._provider.read(name, version=version)
            except Exception as exc:  # noqa: BLE001 - whatever it is, all who wait get it
                return self._failed(key, exc)
            terms = self._terms_of(name)
            outcome = self._memory.keep(key, found, terms, self._now(), is_used=is_used)
            if outcome is not None:
                self._seen(found)
                return outcome
        error = ProviderDownError(f"secret {name!r} changes again and again", hint="ask again")
        return self._failed(key, error)

    def _failed(self, key: Key, error: Exception) -> Outcome:
        outcome = self._memory.fail(key, error, self._now())
        if outcome.is_stale:
            fields: dict[str, object] = {"secret": key[0], "reason": str(error)}
            logger.info(log_line("secrets.served_stale", fields), extra=fields)
        return outcome

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConfigError(
                "these secrets are closed",
                hint="read them before, or call resile.use_secrets again",
            )


def _is_news(outcome: Outcome, instead_of: str | None) -> bool:
    """Tell whether what somebody else asked for, perhaps too early, will do."""
    if instead_of is None:
        return False
    return outcome.secret is None or outcome.secret.version != instead_of


def _given_up(key: Key) -> ProviderDownError:
    return ProviderDownError(f"secret {key[0]!r} could not be asked for", hint="ask again")


def _given(outcome: Outcome, *, is_own: bool) -> Secret:
    """Give the value, old as it may be, or raise the error."""
    if outcome.secret is not None:
        return outcome.secret
    return _asked(outcome, is_own=is_own)


def _asked(outcome: Outcome, *, is_own: bool) -> Secret:
    """Give the value if the provider gave it just now, or raise the error."""
    if outcome.error is not None:
        raise outcome.error if is_own else again(outcome.error)
    if outcome.secret is None:
        raise AssertionError("asking came to nothing")
    return outcome.secret
