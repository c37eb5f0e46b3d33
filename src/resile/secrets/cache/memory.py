"""The values in memory and what is being asked for now: who is given what, who asks, who waits."""

import random
import threading
from collections.abc import Callable
from copy import copy
from typing import Final

from resile.errors import ResileError
from resile.policies.flights import Flight, Flights
from resile.secrets.cache.decide import (
    ERROR_KEPT_S,
    closes,
    judge,
    next_at_s,
    pause_s,
    times_of,
    upkeep_of,
)
from resile.secrets.cache.model import Entry, Judgement, Outcome, Terms, Upkeep
from resile.secrets.model import CURRENT_VERSION
from resile.secrets.value import Secret

Key = tuple[str, str]
"""A name, and which version."""

NAMES_MAX: Final = 1000
"""Of one process. The least recently used goes first, and is wiped when nobody holds it."""


class Memory:
    """What a process holds of its secrets; only current versions are kept. Safe to share between threads.

    It asks nobody and waits for nobody.

    Args:
        chance: Spreads moments.
        has_leases: The provider can renew.
        is_followed: Tells whether somebody wants to know of each new version of a name.
        on_new: Called with a name and a value that was not there before; with the lock held, as the next.
        on_gone: Called with a name whose value is not kept any more.
        names_max: How many values are kept.
    """

    def __init__(
        self,
        *,
        chance: random.Random,
        has_leases: bool,
        is_followed: Callable[[str], bool],
        on_new: Callable[[str, Secret], None],
        on_gone: Callable[[str], None],
        names_max: int = NAMES_MAX,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        """Whoever only takes what is fresh does it without the lock."""
        self._chance = chance
        self._has_leases = has_leases
        self._is_followed = is_followed
        self._on_new = on_new
        self._on_gone = on_gone
        self._names_max = names_max
        self._errors: dict[str, tuple[Exception, float]] = {}
        self._flights: Flights[Outcome] = Flights()
        self._flying: set[Key] = set()
        self._news: dict[Key, str] = {}
        """What changed while it was being read, to which version; empty: unknown. An answer of another
        version may be older than the change."""
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Begin anew in the child of a fork: who asks and who waits is in the parent."""
        self._lock = threading.Lock()
        self._flights.renew()
        self._flying.clear()
        self._news.clear()
        self._chance.seed()

    # For those who ask -----------------------------------------------------------------------------

    def look(
        self, key: Key, now_s: float, *, is_kept_up: bool
    ) -> tuple[Secret | None, Flight[Outcome], bool]:
        """Give the value if there is one; else the flight that brings it, and whether to lead it.

        Raises:
            Exception: What the provider answered a moment ago.
        """
        name, version = key
        with self._lock:
            if version == CURRENT_VERSION:
                entry = self.entries.get(name)
                judgement = judge(entry, now_s, is_kept_up=is_kept_up)
                if entry is not None and judgement in (Judgement.GIVE, Judgement.GIVE_STALE):
                    entry.used_at_s = now_s
                    return entry.secret, _NO_FLIGHT, False
                self._raise_kept(name, now_s)
            return None, *self._join(key)

    def join(self, key: Key) -> tuple[Flight[Outcome], bool]:
        """Give the flight that brings a value, whatever is kept, and whether to lead it."""
        with self._lock:
            return self._join(key)

    def value_of(self, name: str, now_s: float) -> Secret | None:
        """Give what is kept and may be served, fresh or not."""
        with self._lock:
            entry = self.entries.get(name)
            return entry.secret if entry is not None and now_s < entry.gone_at_s else None

    # For the one who reads -------------------------------------------------------------------------

    def begin(self, key: Key) -> None:
        """A reading begins now: what changes from here on disturbs it."""
        with self._lock:
            self._news.pop(key, None)

    def keep(
        self, key: Key, secret: Secret, terms: Terms, now_s: float, *, is_used: bool
    ) -> Outcome | None:
        """Take what was read; None if something changed meanwhile, and it has to be read again.

        Args:
            key: What was asked for.
            secret: The answer.
            terms: How long it is served.
            now_s: When the answer came.
            is_used: Somebody waits for it; False: it was read ahead.
        """
        name, version = key
        with self._lock:
            if self._news.get(key, secret.version) != secret.version:
                return None
            self._errors.pop(name, None)
            if version != CURRENT_VERSION:
                return Outcome(secret=secret)
            return Outcome(secret=self._put(name, secret, terms, now_s, is_used=is_used))

    def fail(self, key: Key, error: Exception, now_s: float) -> Outcome:
        """Take it that the provider did not give a value; give what comes of it."""
        name, version = key
        with self._lock:
            if version != CURRENT_VERSION:
                return Outcome(error=error)
            entry = self.entries.get(name)
            if closes(error):
                self._remove(name)
            elif entry is not None and now_s < entry.gone_at_s:
                self._postpone(entry, error, now_s)
                return Outcome(secret=entry.secret, error=error, is_stale=True)
            self._errors[name] = (_bare(error), now_s + ERROR_KEPT_S)
            while len(self._errors) > self._names_max:
                del self._errors[next(iter(self._errors))]
            return Outcome(error=error)

    def land(self, key: Key, flight: Flight[Outcome], outcome: Outcome | None) -> None:
        """Give those who wait what came of it; None if the one who read was stopped."""
        with self._lock:
            self._flights.end(key, flight)
            self._flying.discard(key)
            self._news.pop(key, None)
        flight.land(outcome)

    # For the upkeep --------------------------------------------------------------------------------

    def due(self, now_s: float) -> list[tuple[str, Upkeep]]:
        """Give what needs something now, the longest overdue first."""
        with self._lock:
            ordered = sorted(self.entries.items(), key=lambda item: item[1].refresh_at_s)
            wishes = [(name, self._upkeep(name, entry, now_s)) for name, entry in ordered]
        return [(name, wish) for name, wish in wishes if wish is not Upkeep.NOTHING]

    def next_at_s(self) -> float:
        """Tell when something is due next; infinite if nothing is kept."""
        with self._lock:
            return min(
                (
                    next_at_s(
                        entry, is_followed=self._is_followed(name), has_leases=self._has_leases
                    )
                    for name, entry in self.entries.items()
                ),
                default=float("inf"),
            )

    def away(self, error: Exception, names: list[str], now_s: float, *, but: str) -> None:
        """Take it that the provider is away for these, and for all that it already was away for.

        Args:
            error: What it came to.
            names: What would have been asked for next.
            now_s: When.
            but: The one that was asked for, of which it is known.
        """
        with self._lock:
            for name, entry in self.entries.items():
                if name != but and (entry.failures or name in names):
                    self._postpone(entry, error, now_s)

    def extend(self, name: str, lease_id: str, granted_s: float, now_s: float) -> None:
        """Take it that a lease has so much more time."""
        with self._lock:
            entry = self.entries.get(name)
            if entry is not None and entry.secret.lease_id == lease_id:
                entry.set(times_of(granted_s, _NO_TERMS, now_s, jitter=self._jitter()))
                entry.loaded_at_s, entry.failures = now_s, 0

    def drop(self, name: str) -> None:
        """Let go of a value."""
        with self._lock:
            self._remove(name)

    # For who tells of changes ----------------------------------------------------------------------

    def changed(self, name: str, version: str, now_s: float) -> bool:
        """Take it that another version is current; empty: perhaps. True if it has to be read."""
        with self._lock:
            self._disturb(name, version)
            entry = self.entries.get(name)
            if entry is None or entry.secret.version == version:
                return False
            entry.is_outdated = True
            entry.refresh_at_s = now_s
            return True

    def revoked(self, name: str, version: str) -> bool:
        """Serve a version no more; empty: any. True if it was kept."""
        with self._lock:
            self._disturb(name, "")
            entry = self.entries.get(name)
            if entry is None or version not in ("", entry.secret.version):
                return False
            self._remove(name)
            return True

    def clear(self) -> list[Secret]:
        """Let go of all values; give them, as some may live by leases."""
        with self._lock:
            secrets = [entry.secret for entry in self.entries.values()]
            for name in tuple(self.entries):
                self._remove(name)
            self._errors.clear()
        return secrets

    # With the lock held ----------------------------------------------------------------------------

    def _join(self, key: Key) -> tuple[Flight[Outcome], bool]:
        flight, is_leader = self._flights.join(key)
        self._flying.add(key)
        return flight, is_leader

    def _disturb(self, name: str, version: str) -> None:
        self._errors.pop(name, None)
        self._news.update((key, version) for key in self._flying if key[0] == name)

    def _raise_kept(self, name: str, now_s: float) -> None:
        error, until_s = self._errors.get(name, (None, 0.0))
        if error is not None and now_s < until_s:
            raise again(error)

    def _put(
        self, name: str, secret: Secret, terms: Terms, now_s: float, *, is_used: bool
    ) -> Secret:
        before = self.entries.get(name)
        if before is not None and _is_same(before.secret, secret):
            secret = before.secret  # One object for one version: so it shows who still holds it.
        used_at_s = now_s if is_used or before is None else before.used_at_s
        times = times_of(secret.lease_s, terms, now_s, jitter=self._jitter())
        if times.gone_at_s > now_s:
            self.entries[name] = Entry(secret, times, loaded_at_s=now_s, used_at_s=used_at_s)
            self._make_place(name)
        if before is None or before.secret is not secret:
            self._on_new(name, secret)
        return secret

    def _make_place(self, but: str) -> None:
        while len(self.entries) > self._names_max:
            others = [name for name in self.entries if name != but]
            idle = [name for name in others if not self._is_followed(name)] or others
            self._remove(min(idle, key=lambda name: self.entries[name].used_at_s))

    def _remove(self, name: str) -> None:
        if self.entries.pop(name, None) is not None:
            self._on_gone(name)

    def _postpone(self, entry: Entry, error: Exception, now_s: float) -> None:
        entry.failures += 1
        entry.refresh_at_s = now_s + pause_s(entry.failures, error, chance=self._chance.random())

    def _upkeep(self, name: str, entry: Entry, now_s: float) -> Upkeep:
        return upkeep_of(
            entry, now_s, is_followed=self._is_followed(name), has_leases=self._has_leases
        )

    def _jitter(self) -> float:
        return self._chance.uniform(-1, 1)


def again(error: Exception) -> Exception:
    """Give an error to one more who gets it: else it would collect the frames of them all."""
    if not isinstance(error, ResileError):
        return error.with_traceback(None)
    another = copy(error)
    another.__cause__ = error.__cause__
    return another


def _bare(error: Exception) -> Exception:
    """Give an error without its frames and causes: they hold what the provider was doing."""
    return copy(error) if isinstance(error, ResileError) else error.with_traceback(None)


def _is_same(before: Secret, after: Secret) -> bool:
    is_same_lease = before.lease_id == after.lease_id
    return before.version == after.version and is_same_lease and before == after


_NO_FLIGHT: Flight[Outcome] = Flight()
"""Stands beside a value that is there; nobody waits for it."""
_NO_TERMS: Final = Terms()
"""A lease knows its own."""
