"""Secrets in a user's process: from memory while they are fresh, asked for once by all who want them.

fresh      taken from memory
ahead      at 2/3 of its time to live, give or take a tenth, a value is asked for in the background
stale      while the provider is away it is served for `max_stale` more
closed     after a revocation or a denial it is not served, whatever is in memory
"""

import random
from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from math import inf
from typing import Final, Self, cast

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies.bound import CHANCE
from resile.policies.forks import renew_in_children
from resile.secrets.cache.asking import Asker
from resile.secrets.cache.feed import Feed, Silence
from resile.secrets.cache.memory import NAMES_MAX, Memory
from resile.secrets.cache.model import Terms
from resile.secrets.cache.threads import Crew, Ticker
from resile.secrets.cache.upkeep import Upkeeper
from resile.secrets.handing import Callback, Handing
from resile.secrets.model import CURRENT_VERSION, Version
from resile.secrets.port import LeasingProvider, Provider
from resile.secrets.refusals import Refusals
from resile.secrets.value import Secret

REFRESH_PAUSE_S: Final = 0.1
"""A credential that is refused to many at once is asked for so often."""


class SecretManager:
    """Gives secrets. Safe to share between threads and tasks, and in the children of forks.

    Args:
        provider: Where they are kept. The manager closes it.
        terms: How long a value is served from memory.
        terms_of: The same for one name, as far as it is known; asked after each reading.
        feed: Tells of changes at once. Default: nobody; a change is seen when a value is read anew.
        seen: Called with each value that is read; must not keep it.
        clock: For all times.
        chance: Spreads the moments of processes that started together.
        names_max: How many values are kept.
        is_background: False: nothing is done in the background but by `step`, for tests.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        terms: Terms | None = None,
        terms_of: Callable[[str], Terms | None] | None = None,
        feed: Feed | None = None,
        seen: Callable[[Secret], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
        names_max: int = NAMES_MAX,
        is_background: bool = True,
    ) -> None:
        self._provider = provider
        self._now = clock.monotonic
        self._is_background = is_background
        self._is_closed = False
        self._ticker = Ticker(self.step, name="resile-secrets")
        self._callers = Crew(name="resile-secrets-call")
        self._handing = Handing(self._ticker.nudge)
        leasing, feed = _leasing(provider), feed or Silence()
        self._memory = Memory(
            chance=chance,
            has_leases=leasing is not None,
            is_followed=self._handing.is_followed,
            on_new=self._took,
            on_gone=self._handing.dropped,
            names_max=names_max,
        )
        self._entries = self._memory.entries
        self._asker = Asker(
            provider,
            self._memory,
            terms_of=_terms_of(terms or Terms(), terms_of),
            before=feed.watch,  # Before it is read, so that no change falls between the two.
            after=self._wake,
            seen=seen or _unseen,
            is_kept_up=lambda: self._ticker.is_running,
            clock=clock,
        )
        self._upkeep = Upkeeper(
            self._memory,
            self._handing,
            leasing,
            feed,
            read_ahead=self._asker.ahead,
            submit=self._callers.submit if is_background else _at_once,
            clock=clock,
        )
        self.refusals = Refusals(partial(_note_refused, feed), clock=clock)
        """Counts logins that were refused with the current version."""
        renew_in_children(self)
        feed.follow(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: what was being done is done by the parent."""
        for part in (self._ticker, self._asker, self._callers, self._handing, self._memory):
            part.renew()

    # For those who use secrets ---------------------------------------------------------------------

    def secret(self, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Give a secret. What is fresh in memory costs less than a microsecond.

        Only the current version is kept in memory; another one is asked for each time.

        Args:
            name: Which, such as `db/password`.
            version: `current`, `previous`, or a number of `history`.

        Raises:
            UnknownSecretError: If there is none.
            SecretDeniedError: If this process may not have it.
            SecretRevokedError: If it was revoked.
            ProviderDownError: If the provider is away and nothing in memory may be served.
        """
        entry = self._entries.get(name)
        if entry is not None and version == CURRENT_VERSION:
            now_s = self._now()
            if now_s < entry.fresh_until_s:
                entry.used_at_s = now_s
                return entry.secret
        return self._asker.get((name, version))

    async def asecret(self, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Give a secret without blocking the event loop; as `secret`."""
        entry = self._entries.get(name)
        if entry is not None and version == CURRENT_VERSION:
            now_s = self._now()
            if now_s < entry.fresh_until_s:
                entry.used_at_s = now_s
                return entry.secret
        return await self._asker.aget((name, version))

    def refresh(self, name: str, *, instead_of: str | None = None) -> Secret:
        """Ask the provider for the current version, whatever is in memory.

        Args:
            name: The secret.
            instead_of: A version that was refused. If another one is in memory by now, or the
                provider confirmed a moment ago that it is current, that will do. Default: it is
                asked in any case.

        Raises:
            SecretError: As `secret`; also if the provider is away.
        """
        known = self._known_instead(name, instead_of)
        if known is not None:
            return known
        return self._confirmed(self._asker.refresh(name, instead_of), instead_of)

    async def arefresh(self, name: str, *, instead_of: str | None = None) -> Secret:
        """Ask the provider without blocking the event loop; as `refresh`."""
        known = self._known_instead(name, instead_of)
        if known is not None:
            return known
        return self._confirmed(await self._asker.arefresh(name, instead_of), instead_of)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions that the provider knows, the newest first; asks each time.

        Raises:
            SecretError: As the provider says.
        """
        return self._provider.history(name)

    def on_rotation(
        self, name: str, callback: Callback, *, is_enough: bool = True
    ) -> Callable[[], None]:
        """Have a callback called with each new version, in a thread of its own; it may wait.

        The secret is kept fresh from now on, whether somebody asks for it or not. A callback that
        raises is called again, ever less often, until it returns or there is a newer version.

        Args:
            name: The secret.
            callback: Called with the new version; not with the one that is current now.
            is_enough: When it has returned, nothing uses an older version. False: not before nobody
                holds a `Secret` of an older version either.

        Returns:
            What ends it.

        Raises:
            ConfigError: If there are too many, the callback is a coroutine function, or the manager
                is closed.
        """
        if self._is_closed:
            raise ConfigError("these secrets are closed", hint="call resile.use_secrets again")
        if iscoroutinefunction(callback):
            raise ConfigError(
                f"a callback of {name!r} is a coroutine function, which nobody would await",
                hint="give a function that waits for "
                "asyncio.run_coroutine_threadsafe(work(), loop).result()",
            )
        end = self._handing.follow(name, callback, is_enough=is_enough)
        self._wake()
        return end

    def held(self) -> tuple[Secret, ...]:
        """Give what is in memory; to be looked at, and let go."""
        return tuple(entry.secret for entry in tuple(self._entries.values()))

    def close(self) -> None:
        """Let go of all values and their leases, and of the provider. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._asker.close()
        self._ticker.close()
        self._upkeep.let_go([secret.lease_id for secret in self._memory.clear() if secret.lease_id])
        self._provider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # For whoever tells of changes ------------------------------------------------------------------

    def changed(self, name: str, version: str) -> None:
        """Take it that another version is current; empty: perhaps. It is read in the background."""
        self._look_at(name, is_due=self._memory.changed(name, version, self._now()))

    def revoked(self, name: str, version: str) -> None:
        """Serve a version no more from now on; empty: any."""
        self._look_at(name, is_due=self._memory.revoked(name, version))

    def _look_at(self, name: str, *, is_due: bool) -> None:
        self._upkeep.want(name)
        if is_due or self._handing.is_followed(name):
            self._wake()

    # In the background -----------------------------------------------------------------------------

    def step(self) -> float:
        """Do what is due; give the seconds until something is due again, infinite if nothing is."""
        if self._is_closed:
            return inf
        return self._upkeep.step()

    def _wake(self) -> None:
        if self._is_background:
            self._ticker.wake()

    def _took(self, name: str, secret: Secret) -> None:
        self._handing.took(name, secret, self._now())

    def _known_instead(self, name: str, version: str | None) -> Secret | None:
        """Give what is in memory if it is another version, or the same was confirmed a moment ago."""
        entry = self._entries.get(name)
        if version is None or entry is None:
            return None
        now_s = self._now()
        is_known = entry.secret.version != version or now_s < entry.confirmed_at_s + REFRESH_PAUSE_S
        return entry.secret if is_known and now_s < entry.fresh_until_s else None

    def _confirmed(self, found: Secret, instead_of: str | None) -> Secret:
        """Note that a version which was refused is the current one all the same."""
        entry = self._entries.get(found.name)
        if entry is not None and found.version == instead_of:
            entry.confirmed_at_s = self._now()
        return found


def _leasing(provider: Provider) -> LeasingProvider | None:
    has_leases = provider.abilities.has_leases and isinstance(provider, LeasingProvider)
    return cast("LeasingProvider", provider) if has_leases else None


def _terms_of(
    terms: Terms, terms_of: Callable[[str], Terms | None] | None
) -> Callable[[str], Terms]:
    """Give the terms of a name: its own, or those of all."""
    if terms_of is None:
        return lambda _: terms
    return lambda name: terms_of(name) or terms


def _unseen(_: Secret) -> None:
    """Nobody wants to see what is read."""


def _note_refused(feed: Feed, name: str, count: int) -> None:
    feed.note(name, "auth_failed", count)


def _at_once(job: Callable[[], object]) -> bool:
    job()
    return True
