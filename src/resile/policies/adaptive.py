"""AdaptiveLimit: a bulkhead that finds out by itself how many calls may run at once."""

import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from resile.core.clock import Clock
from resile.errors import RejectedError
from resile.policies.admission import Admission, is_on_loop
from resile.policies.concurrency import Aimd, Gradient, LimitRule, Window
from resile.policies.forks import renew_in_children
from resile.policies.gate import Ticket
from resile.policies.layer import Around, Inline, Measure
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.priority import PRIORITY
from resile.policies.resumed import is_over

T = TypeVar("T")

_SAMPLES_MIN: Final = 20
"""Calls that end before the limit is decided anew; as many as were in flight at its last change,
if those are more, so that the calls of one limit do not judge the next."""
_LATENCY_S_MIN: Final = 1e-9
"""A clock that stood still during a call would make every other call infinitely slow."""
OVERLOADS: Final = (TimeoutError, RejectedError)
"""What a dependency that has too much to do answers. Other errors say nothing about its load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimit(Policy):
    """Let as many calls run at once as the dependency bears, found out from their latency.

    Args:
        algorithm: `gradient` (default) compares the present latency with the usual one, and
            leaves room for a short queue; `aimd` adds one for each good window and takes a
            share after an overload.
        initial: Calls in flight at the beginning, lowest..highest. Default 20.
        lowest: The limit never falls below, 1..1000000. Default 1: there is always a probe.
        highest: The limit never rises above, 1..1000000. Default 1000.
        backoff: What is left of the limit after an overload, 0.1..0.99. Default 0.9.
        tolerance: For `gradient`: how many times the usual latency is still good, 1..10.
            Default 1.5.
        slow: For `aimd`: mean latency that counts as an overload, 1ms..1d. Default None: only
            TimeoutError and RejectedError do.
        queue: Calls that may wait, 0..1000000. Default 0.
        max_wait: Longest wait for a permit, 0..1d. Default 1 s. A deadline cuts it.

    Raises:
        BulkheadFullError: From a call that got no permit.
    """

    position: ClassVar[int] = 60
    algorithm: str = "gradient"
    initial: int = 20
    lowest: int = 1
    highest: int = 1000
    backoff: float = 0.9
    tolerance: float = 1.5
    slow: float | str | None = None
    queue: int = 0
    max_wait: float | str = 1.0

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        if self.algorithm not in ("gradient", "aimd"):
            options.refuse("algorithm", f'{self.algorithm!r} is neither "gradient" nor "aimd"')
        options.whole("lowest", "highest", "initial", low=1, high=1_000_000)
        options.number("backoff", low=0.1, high=0.99)
        options.number("tolerance", low=1, high=10)
        options.seconds("slow", low=0.001, high=86_400)
        options.whole("queue", low=0, high=1_000_000)
        options.seconds("max_wait", low=0, high=86_400)

    def check_together(self, options: Options) -> None:
        """Check options beside each other."""
        if options.is_clean and not self.lowest <= self.initial <= self.highest:
            options.refuse("initial", f"{self.initial} is not in lowest..highest")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "AdaptiveLayer":
        """Make the permits for one guarded name."""
        del chance
        admission = Admission(
            name, clock, limit=self.initial, queue=self.queue, wait_s_max=float(self.max_wait)
        )
        return AdaptiveLayer(self, admission, clock)

    def rule(self) -> LimitRule:
        """Give a new rule by which a limit moves."""
        if self.algorithm == "aimd":
            slow_s = None if self.slow is None else float(self.slow)
            return Aimd(backoff=self.backoff, latency_s_max=slow_s)
        return Gradient(backoff=self.backoff, tolerance=self.tolerance)


class AdaptiveLayer:
    """The permits of one name, and what decides their number. Safe to share between threads.

    Args:
        policy: Its options.
        admission: Where callers get permits.
        clock: Measures them.
    """

    def __init__(self, policy: AdaptiveLimit, admission: Admission, clock: Clock) -> None:
        self._policy = policy
        self.admission = admission
        self.clock = clock
        self._rule = policy.rule()
        self._lock = threading.Lock()
        self._limit = float(policy.initial)
        self._ended = self._succeeded = self._in_flight_max = 0
        self._latency_sum_s = 0.0
        self._was_overloaded = False
        self._awaited = _SAMPLES_MIN
        renew_in_children(self)

    def renew(self) -> None:
        """Forget the threads of the parent process; keep what was found out."""
        self._lock = threading.Lock()
        self._begin_window(0)

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` with a permit; blocks for `max_wait` at most before it."""
        if is_over(call):
            with _Measured(self):
                return call()
        ticket = Ticket(PRIORITY.get())
        try:
            self.admission.enter(ticket)
            with _Measured(self):
                return call()
        finally:
            self.admission.leave(ticket)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call` with a permit, without blocking the loop."""
        if is_over(call):
            with _Measured(self):
                return await call()
        ticket = Ticket(PRIORITY.get())
        try:
            await self.admission.aenter(ticket)
            with _Measured(self):
                return await call()
        finally:
            self.admission.leave(ticket)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have a permit for the time of a block. On an event loop it does not wait for one."""
        ticket = Ticket(PRIORITY.get())
        try:
            self.admission.enter(ticket, is_blocking=not is_on_loop())
            with _Measured(self):
                yield
        finally:
            self.admission.leave(ticket)

    @asynccontextmanager
    async def ahold(self) -> AsyncIterator[None]:
        """Have a permit for the time of a block, and wait for it without blocking the loop."""
        ticket = Ticket(PRIORITY.get())
        try:
            await self.admission.aenter(ticket)
            with _Measured(self):
                yield
        finally:
            self.admission.leave(ticket)

    def inline(self) -> Inline:
        """Give the lines of a call for which there is a permit at once; what fails is learned later."""
        permit = self.admission.inline()
        measured = Around(
            "_resile_started = _resile_clock()",
            done="_resile_adaptive.learn(_resile_clock() - _resile_started)",
        )
        return permit._replace(
            kind="adaptive limit",
            names={**permit.names, "_resile_adaptive": self, "_resile_clock": self.clock.monotonic},
            around=measured,
            async_around=measured,
        )

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; the limit that was found stays, cut to the new range."""
        if not isinstance(policy, AdaptiveLimit):
            return False
        with self._lock:
            self._policy, self._rule = policy, policy.rule()
            self._limit = max(policy.lowest, min(policy.highest, self._limit))
            limit = int(self._limit)
        self.admission.adopt(limit=limit, queue=policy.queue, wait_s_max=float(policy.max_wait))
        return True

    def measures(self) -> tuple[Measure, ...]:
        """Give who is inside, who waits, the limit, and how many were turned away."""
        return self.admission.measures()

    def learn(self, latency_s: float | None) -> None:
        """Take one more call that ended; decide the limit anew at the end of a window.

        Args:
            latency_s: None if the dependency had too much to do.
        """
        in_flight = self.admission.in_flight
        with self._lock:
            self._ended += 1
            self._in_flight_max = max(self._in_flight_max, in_flight)
            if latency_s is None:
                self._was_overloaded = True
            else:
                self._succeeded += 1
                self._latency_sum_s += latency_s
            if self._ended < self._awaited:
                return
            limit = self._decide(in_flight)
        if limit != self.admission.limit:
            self.admission.resize(limit)

    def _decide(self, in_flight: int) -> int:
        mean_s = self._latency_sum_s / max(self._succeeded, 1)
        window = Window(
            latency_s=max(mean_s, _LATENCY_S_MIN),
            in_flight_max=self._in_flight_max,
            was_overloaded=self._was_overloaded,
        )
        limit = self._rule.next_limit(self._limit, window)
        self._limit = max(self._policy.lowest, min(self._policy.highest, limit))
        self._begin_window(in_flight)
        return int(self._limit)

    def _begin_window(self, in_flight: int) -> None:
        self._awaited = max(_SAMPLES_MIN, in_flight)
        self._ended = self._succeeded = self._in_flight_max = 0
        self._latency_sum_s = 0.0
        self._was_overloaded = False


class _Measured:
    """Measure what runs inside, and tell a layer how it ended. For one use."""

    __slots__ = ("_layer", "_started_s")

    def __init__(self, layer: AdaptiveLayer) -> None:
        self._layer = layer
        self._started_s = layer.clock.monotonic()

    def __enter__(self) -> None:
        """Nothing is done: the time runs since this object was made."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if kind is None:
            self._layer.learn(self._layer.clock.monotonic() - self._started_s)
        elif issubclass(kind, OVERLOADS):
            self._layer.learn(None)
