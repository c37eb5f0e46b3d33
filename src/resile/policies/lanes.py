"""Cancel a task whose time is over: one queue and one timer for each policy and event loop.

This module needs asyncio at every call, so it imports it, and is itself imported by the first call
that is awaited.
"""

from asyncio import (
    AbstractEventLoop,
    BaseEventLoop,
    CancelledError,
    Task,
    TimerHandle,
    current_task,
    get_running_loop,
)
from math import inf
from threading import get_ident
from weakref import WeakKeyDictionary, ref

from resile.core.clock import Clock, SystemClock
from resile.errors import ConfigError
from resile.policies.context import DEADLINE
from resile.policies.expiries import Expiries
from resile.policies.lateness import Lateness


class Lanes:
    """The queues of one policy under one name, by event loop. Safe to share between threads.

    Args:
        late: Counts what was stopped, and knows the guard's name.
        clock: For deadlines.
    """

    __slots__ = ("_by_loop", "_clock", "_last", "_late", "_now")

    def __init__(self, late: Lateness, clock: Clock) -> None:
        self._late = late
        self._clock = clock
        self._now = clock.monotonic
        self._by_loop: WeakKeyDictionary[AbstractEventLoop, Lane] = WeakKeyDictionary()
        self._last: Lane | None = None

    def begin(self, seconds: float) -> "TaskTime":
        """Give the running task so much time from now on; less if a deadline around it says so.

        Written as one piece, as each call in it costs a tenth of the whole.

        Raises:
            TimeoutExceededError: If there is none.
            ConfigError: If no task runs.
        """
        lane = self._last
        loop = None if lane is None else lane.loop()
        # As get_running_loop() would find out, which asks the kernel for the process each time.
        if (
            lane is None or loop is None or not lane.has_thread or loop._thread_id != get_ident()  # type: ignore[attr-defined]  # noqa: SLF001
        ):
            loop, lane = self._here()
        task = current_task(loop)
        if task is None:
            raise self._homeless()
        now = self._now()
        deadline = now + seconds
        outer = DEADLINE.get()
        if outer < deadline:
            seconds, deadline = outer - now, outer
            if seconds <= 0:
                raise self._late.error(seconds)
        time = TaskTime()
        time.lane = lane
        time.task = task
        time.outer = outer
        time.seconds = seconds
        time.cancelling = task.cancelling()
        time.due_at = due_at = deadline if lane.has_clock else loop.time() + seconds
        DEADLINE.set(deadline)
        queue = lane.queue
        if queue and due_at < queue[-1].due_at:
            time.is_queued = False
            time.own_timer = loop.call_at(due_at, time.expire)
            return time
        queue.append(time)
        lane.live += 1
        if due_at < lane.armed_at:
            lane.arm(due_at, loop)
        return time

    def _here(self) -> "tuple[AbstractEventLoop, Lane]":
        loop = get_running_loop()
        lane = self._last
        if lane is None or lane.loop() is not loop:
            lane = self._last = self.lane_of(loop)
        return loop, lane

    def lane_of(self, loop: AbstractEventLoop) -> "Lane":
        """Give the queue of an event loop."""
        lane = self._by_loop.get(loop)
        if lane is None:
            lane = self._by_loop[loop] = Lane(self._late, loop, self._clock)
        return lane

    def _homeless(self) -> ConfigError:
        return ConfigError(
            f"{self._late.guard!r} has a time-out, and only a task can be cancelled",
            hint="await it in a task, such as asyncio.run makes one",
        )


class Lane(Expiries["TaskTime"]):
    """The queue of one event loop. Not thread-safe: it is used on that loop only.

    It keeps no timer handle and only a weak reference to the loop, so that a loop that is gone
    is not kept alive by it.

    Args:
        late: Counts what was stopped.
        loop: Whose it is.
        clock: The guard's.
    """

    __slots__ = ("armed_at", "has_clock", "has_thread", "late", "loop")

    def __init__(self, late: Lateness, loop: AbstractEventLoop, clock: Clock) -> None:
        super().__init__()
        self.late = late
        self.loop = ref(loop)
        self.armed_at = inf
        is_machine = isinstance(clock, SystemClock)
        self.has_clock = is_machine and type(loop).time is BaseEventLoop.time
        """True if the loop's time and the guard's are the same clock."""
        self.has_thread = isinstance(loop, BaseEventLoop) and hasattr(loop, "_thread_id")
        """True if the loop has noted the thread in which it runs, as asyncio's own do since 3.4."""

    def arm(self, at: float, loop: AbstractEventLoop) -> None:
        """Have the queue looked at, at a time of the loop."""
        self.armed_at = at
        loop.call_at(at, self._tick, at, loop)

    def _tick(self, at: float, loop: AbstractEventLoop) -> None:
        """Cancel who is due; a timer that another has overtaken arms no further one."""
        for entry in self.expire(loop.time()):
            entry.expire()
        if at == self.armed_at:
            self.armed_at = inf
            if len(self):
                self.arm(self.next_at(), loop)


class TaskTime:
    """The time that a task has for one call or block. `leave` ends it, after `fail` for any error.

    A cancellation from outside stays a CancelledError, also if the time is over as well. What most
    never change stands in the class, as setting it would cost more than the rest.
    """

    is_live = True
    is_queued = True
    """False once it is not in the queue any more, or if it never was."""
    has_expired = False
    own_timer: TimerHandle | None = None
    due_at: float
    lane: Lane
    task: "Task[object]"
    seconds: float
    outer: float
    """The deadline around."""
    cancelling: int
    """How often the task had been cancelled before."""

    def fail(self, error: BaseException) -> None:
        """Turn the cancellation into an error, if it came because the time is over.

        Raises:
            TimeoutExceededError: Then.
        """
        if not self.has_expired:
            return
        self.has_expired = False
        if self.task.uncancel() <= self.cancelling and isinstance(error, CancelledError):
            raise self.lane.late.error(self.seconds) from error

    def leave(self) -> None:
        """End the time."""
        DEADLINE.set(self.outer)
        if self.is_queued:
            lane = self.lane
            self.is_live = False
            lane.live -= 1
            if lane.live:
                lane.sweep()
            else:
                lane.queue.clear()
            return
        if self.own_timer is not None:
            self.own_timer.cancel()
        if self.has_expired:
            self.task.uncancel()

    def expire(self) -> None:
        """Cancel the task: its time is over."""
        self.is_queued = False
        self.has_expired = True
        self.task.cancel()
