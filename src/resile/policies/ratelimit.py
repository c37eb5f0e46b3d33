"""RateLimit: so many calls in so much time, at an even rate with a burst; wait or reject."""

import random
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar
from weakref import WeakSet

from resile.core.clock import Clock
from resile.errors import ConfigError, RateLimitedError
from resile.policies._async import asleep
from resile.policies.admission import is_on_loop
from resile.policies.context import remaining_s
from resile.policies.forks import renew_in_children
from resile.policies.gcra import CountedGcra, Gcra
from resile.policies.layer import Inline, Measure
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.resumed import is_over
from resile.policies.signals import Rejections

T = TypeVar("T")

_RATE_MAX: Final = 1e6
"""Calls a second. Shorter intervals would be lost in the rounding of a clock's seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit(Policy):
    """Let so many calls begin in so much time; the others wait for their turn or are rejected.

    After a pause, `burst` calls may begin at once; from then on one each `per / limit`. Waiters
    go on in the order of their coming; one that is cancelled gives its turn to the next to come.

    Args:
        limit: Calls in each `per`, 1..1000000000, and at most a million a second. Default 100.
        per: 1ms..1d. Default 1 s.
        burst: Calls at once after a pause, 1..1000000000. Default: `limit`.
        max_wait: Longest wait for a turn, 0..1d. Default 0: reject. A deadline cuts it.
        queue: Calls that may wait at once, 0..1000000. Default 1000.
        key: Asked at each call whose limit it is, such as a ContextVar's `get`; it must give
            something hashable. Default None: all calls share one. For a limit by an argument
            of the function use `.per(...)`.
        keys_max: Keys that are remembered, 1..10000000; the one that was not used for longest is
            forgotten first, and begins with a full burst when it comes again. Default 10000.
        shared: The limit is that of all processes that have the same guard; each gets a share of
            it, by how much it calls, over the daemon of their system or what `resile.share`
            names. A call never waits for it; a process that was told of no share has the whole
            limit. Not with `key`.

    Raises:
        RateLimitedError: From a call that got no turn, with the seconds until there is one.
    """

    position: ClassVar[int] = 50
    limit: int = 100
    per: float | str = 1.0
    burst: int | None = None
    max_wait: float | str = 0.0
    queue: int = 1000
    key: Callable[[], Hashable] | None = None
    keys_max: int = 10_000
    shared: bool = False

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.whole("limit", "burst", low=1, high=1_000_000_000)
        options.seconds("per", low=0.001, high=86_400)
        options.seconds("max_wait", low=0, high=86_400)
        options.whole("queue", low=0, high=1_000_000)
        options.whole("keys_max", low=1, high=10_000_000)
        options.flags("shared")
        if self.key is not None and not callable(self.key):
            options.refuse("key", "takes a function without arguments that gives the key")

    def check_together(self, options: Options) -> None:
        """Check options beside each other."""
        if options.is_clean and self.limit / float(self.per) > _RATE_MAX:
            options.refuse("limit", f"{self.limit} in {self.per:g} s is more than 1000000 a second")
        if self.shared and self.key is not None:
            options.refuse("shared", "does not go with key: what is shared is one limit")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "RateLimitLayer":
        """Make the rate of one guarded name."""
        del chance
        return RateLimitLayer(self, name, clock)


class RateLimitLayer:
    """The rate of one name, or one for each key. Safe to share between threads and tasks.

    Args:
        policy: Its options.
        name: The guard's name, for errors.
        clock: For turns and waits.
    """

    def __init__(self, policy: RateLimit, name: str, clock: Clock) -> None:
        self._policy = policy
        self.share = 1.0
        """The part of the limit that is this process's."""
        self._name = name
        self._clock = clock
        self._now = clock.monotonic
        self._wait_s_max = float(policy.max_wait)
        self._lock = threading.Lock()
        self._sleepers: WeakSet[_Turn] = WeakSet()
        self._only = None if policy.key else self._fresh()
        self._by_key: OrderedDict[Hashable, Gcra] = OrderedDict()
        self.rejections = Rejections(name, clock, "rate_limit")
        renew_in_children(self)

    def renew(self) -> None:
        """Forget the threads and tasks of the parent process; the rate goes on from where it was."""
        self._lock = threading.Lock()
        self.rejections.renew()
        self._sleepers = WeakSet()

    @property
    def waiting(self) -> int:
        """Tell how many wait for their turn."""
        return len(self._sleepers)

    @property
    def keys(self) -> int:
        """Tell how many keys are remembered."""
        return len(self._by_key)

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` when its turn has come; blocks for `max_wait` at most before it."""
        if is_over(call) or self.is_now():
            return call()
        turn = self._take(self._wait_s_max)
        if turn is not None:
            with self._waiting(turn):
                self._clock.sleep(turn.wait_s)
        return call()

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call` when its turn has come, without blocking the loop."""
        if is_over(call) or self.is_now():
            return await call()
        turn = self._take(self._wait_s_max)
        if turn is not None:
            with self._waiting(turn):
                await asleep(self._clock, turn.wait_s)
        return await call()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Begin a block when its turn has come. On an event loop it does not wait for it."""
        turn = self._take(0.0 if is_on_loop() else self._wait_s_max)
        if turn is not None:
            with self._waiting(turn):
                self._clock.sleep(turn.wait_s)
        yield

    @asynccontextmanager
    async def ahold(self) -> AsyncIterator[None]:
        """Begin a block when its turn has come, without blocking the loop."""
        turn = self._take(self._wait_s_max)
        if turn is not None:
            with self._waiting(turn):
                await asleep(self._clock, turn.wait_s)
        yield

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; what was used of the rate before stays used."""
        if not isinstance(policy, RateLimit):
            return False
        with self._lock:
            before, has_key = self._only, self._policy.key is policy.key
            self._policy = policy
            self._wait_s_max = float(policy.max_wait)
            self._only = None if policy.key else self._fresh(before)
            rates = self._by_key.items() if has_key else ()
            self._by_key = OrderedDict((key, self._fresh(rate)) for key, rate in rates)
        return True

    def take_share(self, share: float) -> None:
        """Take another part of the limit; what was used of it before stays used."""
        with self._lock:
            self.share = share
            self._only = self._fresh(self._only)

    @property
    def asked(self) -> int:
        """Tell how many calls asked for a turn, of a limit that is shared; 0 of others."""
        return self._only.asked if isinstance(self._only, CountedGcra) else 0

    @property
    def policy(self) -> RateLimit:
        """The options that hold now."""
        return self._policy

    def measures(self) -> tuple[Measure, ...]:
        """Give who waits, and how many were turned away."""
        return (
            Measure("waiting", self.waiting, "rate_limit"),
            Measure("rejections", self.rejections.count(), "rate_limit"),
        )

    def inline(self) -> Inline | None:
        """Give the lines of a call whose turn is now; none if each key has its own."""
        if self._only is None:
            return None
        return Inline(
            kind="rate limit", names={"_resile_rate": self}, takes="_resile_rate.is_now()"
        )

    def is_now(self) -> bool:
        """Take the one turn that all share, if it is now."""
        only = self._only
        if only is None:
            return False
        with self._lock:
            return only.is_now(self._now())

    def _take(self, wait_s_max: float) -> "_Turn | None":
        """Take a turn: None if it is now.

        Raises:
            RateLimitedError: If it is too far away.
        """
        key = None if self._only else self._key()
        if wait_s_max:
            wait_s_max = min(wait_s_max, remaining_s(self._clock))
        now = self._now()
        with self._lock:
            rate = self._only or self._rate_of(key)
            wait_s = rate.take(now, wait_s_max)
            if wait_s == 0.0:
                return None
            if wait_s <= wait_s_max and len(self._sleepers) < self._policy.queue:
                turn = _Turn(rate, now + wait_s, wait_s)
                self._sleepers.add(turn)
                return turn
            if wait_s <= wait_s_max:
                rate.give_back(now + wait_s)
        raise self._rejection(key, wait_s)

    @contextmanager
    def _waiting(self, turn: "_Turn") -> Iterator[None]:
        """Wait inside; a wait that is cut short gives its turn back."""
        try:
            yield
        except BaseException:
            with self._lock:
                turn.rate.give_back(turn.at)
            raise
        finally:
            self._sleepers.discard(turn)

    def _key(self) -> Hashable:
        key = None if self._policy.key is None else self._policy.key()
        try:
            hash(key)
        except TypeError:
            raise ConfigError(
                f"the key of {self._name!r} is {key!r}, which cannot be hashed",
                hint="give a string, a number, or a tuple of them",
            ) from None
        return key

    def _rate_of(self, key: Hashable) -> Gcra:
        rate = self._by_key.get(key)
        if rate is None:
            rate = self._by_key[key] = self._fresh()
            if len(self._by_key) > self._policy.keys_max:
                self._by_key.popitem(last=False)
        else:
            self._by_key.move_to_end(key)
        return rate

    def _fresh(self, before: Gcra | None = None) -> Gcra:
        """Make a rate, which goes on from where another one was."""
        policy = self._policy
        burst = policy.limit if policy.burst is None else policy.burst
        burst = max(1, int(burst * self.share))
        make = CountedGcra if policy.shared else Gcra
        rate = make(float(policy.per) / policy.limit / self.share, burst, self._wait_s_max)
        if before is not None:
            rate.follow(before, self._now())
        return rate

    def _rejection(self, key: Hashable, wait_s: float) -> RateLimitedError:
        self.rejections.add()
        whose = "" if self._only else f" for {key!r}"
        return RateLimitedError(
            f"{self._name!r} allows {self._policy.limit} calls in {self._policy.per:g} s{whose}",
            retry_after_s=wait_s,
            hint=f"call again in {wait_s:.6g} s, or let callers wait with max_wait",
        )


class _Turn:
    """A moment that belongs to one caller. Who drops it, by whatever error, waits no longer."""

    __slots__ = ("__weakref__", "at", "rate", "wait_s")

    def __init__(self, rate: Gcra, at: float, wait_s: float) -> None:
        self.rate = rate
        self.at = at
        self.wait_s = wait_s
