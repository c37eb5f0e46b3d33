"""Cache: answer from memory for a while, from stale memory if the call fails, and call once."""

import random
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeVar, cast

from resile.core.clock import Clock
from resile.errors import ConfigError
from resile.policies.arguments import guarded_call
from resile.policies.context import remaining_s
from resile.policies.entries import Entries, Entry, Freshness
from resile.policies.flights import LED, Flight, Flights
from resile.policies.forks import renew_in_children
from resile.policies.layer import Measure
from resile.policies.options import Options
from resile.policies.policy import Policy

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache(Policy):
    """Answer from memory for `ttl`; after it call again, and if that fails answer with the stale.

    Of several callers that miss the same key at once, one calls and the others wait for its result
    or its error. If it is cancelled, the next of them calls. Exceptions are not remembered unless
    `errors` says so. Callers get the same object: do not change it.

    Args:
        ttl: Time for which a result is fresh, 1ms..30d. Default 1 min.
        stale: Further time for which it is given if the call fails, 0..30d. Default 0.
        on: Errors that a stale result replaces. Default: every Exception.
        count_max: Results that are kept, 1..10000000; the least recently used goes first.
            Default 1024.
        key: Called with the arguments of the guarded function, it gives something hashable.
            Default: the function, its arguments and their types. For a method that includes the
            object, which stays in memory for as long as its results.
        errors: Errors that are remembered too: a class, or several. Default: none.
        errors_ttl: Time for which they are, 1ms..30d. Default 1 s.
        max_wait: Longest wait for another caller's call, 0..1d; then one calls by oneself.
            Default 30 s. A deadline cuts it.

    Raises:
        ConfigError: From a call whose key cannot be hashed.
    """

    position: ClassVar[int] = 20
    gives_results: ClassVar[bool] = True
    ttl: float | str = 60.0
    stale: float | str = 0.0
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    count_max: int = 1024
    key: Callable[..., Hashable] | None = None
    errors: type[Exception] | tuple[type[Exception], ...] = ()
    errors_ttl: float | str = 1.0
    max_wait: float | str = 30.0

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.seconds("ttl", "errors_ttl", low=0.001, high=30 * 86_400)
        options.seconds("stale", low=0, high=30 * 86_400)
        options.seconds("max_wait", low=0, high=86_400)
        options.whole("count_max", low=1, high=10_000_000)
        options.errors("on", "errors")
        if self.key is not None and not callable(self.key):
            options.refuse("key", "takes a function that gives the key of a call's arguments")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "CacheLayer":
        """Make the memory of one guarded name."""
        del chance
        return CacheLayer(self, name, clock)


class CacheLayer:
    """The memory of one name. Safe to share between threads and tasks.

    Args:
        policy: Its options.
        name: The guard's name, for errors.
        clock: For ages and waits.
    """

    def __init__(self, policy: Cache, name: str, clock: Clock) -> None:
        self._policy = policy
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = Entries(policy.count_max)
        self._flights: Flights[Entry] = Flights()
        self._hits = self._misses = self._stale = 0
        renew_in_children(self)

    def renew(self) -> None:
        """Forget the threads and tasks of the parent process; keep the results."""
        self._lock = threading.Lock()
        self._flights.renew()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget all results."""
        with self._lock:
            self._entries.clear()

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; results that are remembered stay, as long as they were to."""
        if not isinstance(policy, Cache):
            return False
        with self._lock:
            self._policy = policy
            self._entries.resize(policy.count_max)
        return True

    def measures(self) -> tuple[Measure, ...]:
        """Give how calls were answered, and how many results are kept."""
        return (
            Measure("cache", self._hits, "hit"),
            Measure("cache", self._misses, "miss"),
            Measure("cache", self._stale, "stale"),
            Measure("cached", len(self)),
        )

    def run(self, call: Callable[[], T], /) -> T:
        """Give what is remembered, or do `call`."""
        key = self._key(call)
        until = self._clock.monotonic() + float(self._policy.max_wait)
        while True:
            fresh, flight, is_leader = self._look(key)
            if fresh is not None:
                return cast("T", _given(fresh))
            if is_leader:
                with self._leading(key, flight) as lead:
                    lead.value = call()
                return lead.value
            if flight in LED.get() or not flight.wait(self._clock, self._wait_s(until)):
                return call()
            if flight.outcome is not None:
                return cast("T", _given(flight.outcome))

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Give what is remembered, or do `call`, without blocking the loop."""
        key = self._key(call)
        until = self._clock.monotonic() + float(self._policy.max_wait)
        while True:
            fresh, flight, is_leader = self._look(key)
            if fresh is not None:
                return cast("T", _given(fresh))
            if is_leader:
                with self._leading(key, flight) as lead:
                    lead.value = await call()
                return lead.value
            if flight in LED.get() or not await flight.await_landing(
                self._clock, self._wait_s(until)
            ):
                return await call()
            if flight.outcome is not None:
                return cast("T", _given(flight.outcome))

    def _look(self, key: Hashable) -> tuple[Entry | None, Flight[Entry], bool]:
        """Give what is fresh, else the flight that will bring it and whether to lead it."""
        now = self._clock.monotonic()
        with self._lock:
            entry, freshness = self._entries.find(key, now)
            if freshness is Freshness.FRESH:
                self._hits += 1
                return entry, _NO_FLIGHT, False
            self._misses += 1
            return None, *self._flights.join(key)

    @contextmanager
    def _leading(self, key: Hashable, flight: Flight[Entry]) -> Iterator["_Lead"]:
        """Make the call of a flight inside; whatever ends it, those who wait go on."""
        lead = _Lead()
        token = LED.set((*LED.get(), flight))
        outcome = None
        try:
            yield lead
            outcome = self._remember(key, self._entry(lead.value, None, float(self._policy.ttl)))
        except Exception as error:
            outcome = self._failed(key, error)
            if outcome.error is not None:
                raise
            lead.value = outcome.value
        finally:
            LED.reset(token)
            with self._lock:
                self._flights.end(key, flight)
            flight.land(outcome)

    def _failed(self, key: Hashable, error: Exception) -> Entry:
        """Give what a failed call comes to: the stale result, or its error."""
        with self._lock:
            stale, _ = self._entries.find(key, self._clock.monotonic())
            is_answer = stale is not None and stale.error is None
            is_answer = is_answer and isinstance(error, _kinds(self._policy.on))
            self._stale += is_answer
        if stale is not None and is_answer:
            return stale
        entry = self._entry(None, error, float(self._policy.errors_ttl))
        is_kept = isinstance(error, _kinds(self._policy.errors))
        return self._remember(key, entry) if is_kept else entry

    def _entry(self, value: object, error: Exception | None, fresh_s: float) -> Entry:
        now = self._clock.monotonic()
        stale_s = 0.0 if error else float(self._policy.stale)
        return Entry(value, error, now + fresh_s, now + fresh_s + stale_s)

    def _remember(self, key: Hashable, entry: Entry) -> Entry:
        with self._lock:
            self._entries.put(key, entry)
        return entry

    def _wait_s(self, until: float) -> float:
        return max(0.0, min(until - self._clock.monotonic(), remaining_s(self._clock)))

    def _key(self, call: Callable[[], object]) -> Hashable:
        """Give the key of a call.

        Raises:
            ConfigError: If it cannot be hashed.
        """
        guarded = guarded_call(call)
        args, named = guarded.args, tuple(sorted(guarded.keywords.items()))
        key: Hashable
        if self._policy.key is not None:
            key = self._policy.key(*args, **guarded.keywords)
        else:
            kinds = tuple(type(one) for one in (*args, *guarded.keywords.values()))
            key = (guarded.func, args, named, kinds)
        try:
            hash(key)
        except TypeError as exc:
            raise ConfigError(
                f"a call of {self._name!r} cannot be cached: {exc}",
                hint="give Cache(key=...) a function of the same arguments, such as "
                "`lambda rows: tuple(rows)`",
            ) from None
        return key


class _Lead:
    """What the leader of a flight returns."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: object = None


_NO_FLIGHT: Flight[Entry] = Flight()
"""Stands beside a fresh entry; nobody waits for it."""


def _kinds(classes: object) -> tuple[type[Exception], ...]:
    return cast("tuple[type[Exception], ...]", classes)


def _given(entry: Entry) -> object:
    """Give the value, or raise the error, with a traceback of this call alone.

    Otherwise an error that many get would collect the frames of them all.
    """
    if entry.error is not None:
        raise entry.error.with_traceback(None)
    return entry.value
