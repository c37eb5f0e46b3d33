"""Let the time of all resile code in this process stand still, and move only when it is told to."""

import asyncio
import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from resile.core import clock as clocks
from resile.core.clock import SYSTEM_CLOCK, SystemClock
from resile.policies import alarms, timeout
from resile.policies.lateness import too_slow

T = TypeVar("T")

_END: ContextVar[float] = ContextVar("resile_testing_end", default=inf)
"""When the call that can be interrupted, and is around, has to end."""


class VirtualClock:
    """The time while it is virtual. It goes on from the present. Safe to share between threads.

    Whoever sleeps moves the time for everybody, and wakes at once. Timers are called in their order
    on the way.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start = SYSTEM_CLOCK.now()
        self._start_s = self._now_s = SYSTEM_CLOCK.monotonic()
        self._timers: list[_Timer] = []
        self._numbers = count()
        self.slept_s = 0.0
        """Seconds that were slept, and so not waited."""

    def monotonic(self) -> float:
        """Tell the monotonic second."""
        return self._now_s

    def now(self, zone: object = UTC) -> datetime:
        """Tell the wall-clock time, in UTC."""
        del zone
        return self._start + timedelta(seconds=self._now_s - self._start_s)

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass at once; not beyond the end of the call that it is in.

        Raises:
            _Over: If the time of a call that can be interrupted is over.
        """
        left_s = _END.get() - self._now_s
        self.slept_s += min(seconds, left_s)
        self.advance(min(seconds, left_s))
        if seconds >= left_s:
            raise _Over

    async def asleep(self, seconds: float) -> None:
        """Let `seconds` pass, timer by timer, with a turn for other tasks after each."""
        due_s = self._now_s + seconds
        while self._now_s < due_s:
            step_s = min(self._next_s(), due_s) - self._now_s
            self.slept_s += max(step_s, 0.0)
            self.advance(max(step_s, 0.0))
            await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let `seconds` (0 or more) pass, and call the timers that are due."""
        with self._lock:
            target_s = self._now_s + seconds
        while True:
            with self._lock:
                if not self._timers or self._timers[0].due_s > target_s:
                    self._now_s = max(self._now_s, target_s)
                    return
                timer = heapq.heappop(self._timers)
                self._now_s = max(self._now_s, timer.due_s)
            timer.callback()

    def call_at(self, due_s: float, callback: Callable[[], object]) -> "_Timer":
        """Have something called when a monotonic second has come; `cancel` what it gives."""
        timer = _Timer(due_s, next(self._numbers), callback)
        with self._lock:
            heapq.heappush(self._timers, timer)
        return timer

    def interrupted(self, seconds: float, call: Callable[[], T], name: str) -> T:
        """Do `call`, which ends where its sleeps take longer than `seconds`.

        Raises:
            TimeoutExceededError: If they do.
        """
        due_s = self._now_s + seconds
        token = _END.set(min(due_s, _END.get()))
        try:
            return call()
        except _Over:
            if self._now_s < due_s:
                raise  # A call further out is over.
            raise too_slow(name, seconds) from None
        finally:
            _END.reset(token)

    def _next_s(self) -> float:
        with self._lock:
            return self._timers[0].due_s if self._timers else inf


class _Timer:
    """Something to be called once."""

    def __init__(self, due_s: float, number: int, callback: Callable[[], object]) -> None:
        self.due_s = due_s
        self._number = number
        self.callback = callback

    def cancel(self) -> None:
        """Have nothing called."""
        self.callback = _nothing

    def __lt__(self, other: "_Timer") -> bool:
        return (self.due_s, self._number) < (other.due_s, other._number)


def _nothing() -> None:
    """Be called instead of what was cancelled."""


class _Over(BaseException):
    """The time of a call is over. No Exception, so that the call does not swallow it."""


@contextmanager
def virtual_time() -> Iterator[VirtualClock]:
    """Make the time of resile virtual inside; afterwards it is again what it was.

    It reaches guards that exist: `core.clock` alone reads the machine's clocks. The system clock is
    then no `SystemClock` any more, since policies wait beside one of those for real.
    """
    virtual = VirtualClock()
    times = SimpleNamespace(**vars(vars(clocks)["time"]))
    times.monotonic, times.sleep = virtual.monotonic, virtual.sleep
    kind = type("VirtualSystemClock", (), _methods(virtual))
    with (
        patch.object(clocks, "time", times),
        patch.object(clocks, "datetime", SimpleNamespace(now=virtual.now)),
        patch.object(alarms, "interrupted_after", _alarm(virtual)),
        patch.object(timeout, "call_in_process", _process(virtual)),
        patch.object(timeout, "guarded_call", _whole),
        patch.object(timeout.TimeoutLayer, "load_lanes", _lanes(virtual)),
    ):
        SYSTEM_CLOCK.__class__ = kind
        try:
            yield virtual
        finally:
            SYSTEM_CLOCK.__class__ = SystemClock


def _methods(virtual: VirtualClock) -> dict[str, Any]:
    return {
        "now": lambda _: virtual.now(),
        "monotonic": lambda _: virtual.monotonic(),
        "sleep": lambda _, seconds: virtual.sleep(seconds),
    }


def _alarm(virtual: VirtualClock) -> Callable[..., object]:
    """Give what stands in for SIGALRM."""

    def interrupted_after(seconds: float, call: Callable[[], T], *, late: Any, clock: object) -> T:
        del clock
        return virtual.interrupted(seconds, call, late.guard)

    return interrupted_after


def _process(virtual: VirtualClock) -> Callable[..., object]:
    """Give what stands in for a contained process: the call is made here, as `_whole` gives it."""

    def call_in_process(call: Callable[[], T], seconds: float, name: str) -> T:
        return virtual.interrupted(seconds, call, name)

    return call_in_process


def _whole(call: Callable[[], T]) -> Callable[[], T]:
    """Give a call with the layers below, which a process would have left out."""
    return call


def _lanes(virtual: VirtualClock) -> Callable[[timeout.TimeoutLayer], object]:
    """Give what stands in for the timers of the event loop."""

    def load_lanes(layer: timeout.TimeoutLayer) -> object:
        from resile.policies import lanes

        class VirtualLanes(lanes.Lanes):
            __slots__ = ()

            def begin(self, seconds: float) -> lanes.TaskTime:
                time = super().begin(seconds)
                if time.is_queued:
                    time.lane.queue.remove(time)
                    time.lane.live -= 1
                    time.is_queued = False
                due_s = virtual.monotonic() + time.seconds
                time.own_timer = virtual.call_at(due_s, time.expire)  # type: ignore[assignment]
                return time

        # The layer does not keep it: the next call outside shall load its own.
        return VirtualLanes(layer.late, SYSTEM_CLOCK)

    return load_lanes
