"""Cancel a task whose time is over: one queue and one timer for each policy and event loop.

This module needs asyncio at every call, so it imports it, and is itself imported by the first call
that is awaited.
"""

from asyncio import (
    AbstractEventLoop,
    CancelledError,
    Task,
    TimerHandle,
    current_task,
    get_running_loop,
)
from math import inf
from weakref import WeakKeyDictionary, ref

from resile.errors import ConfigError
from resile.policies.expiries import Expiries
from resile.policies.lateness import Lateness


class Lanes:
    """The queues of one policy under one name, by event loop. Safe to share between threads.

    Args:
        late: Counts what was stopped, and knows the guard's name.
    """

    __slots__ = ("_by_loop", "_last", "_late")

    def __init__(self, late: Lateness) -> None:
        self._late = late
        self._by_loop: WeakKeyDictionary[AbstractEventLoop, Lane] = WeakKeyDictionary()
        self._last: Lane | None = None

    def within(self, seconds: float) -> "TaskTime":
        """Give the running task so much time, for one `with` block.

        Raises:
            ConfigError: If no task runs.
        """
        loop = get_running_loop()
        task = current_task(loop)
        if task is None:
            raise ConfigError(
                f"{self._late.guard!r} has a time-out, and only a task can be cancelled",
                hint="await it in a task, such as asyncio.run makes one",
            )
        lane = self._last
        if lane is None or lane.loop() is not loop:
            lane = self._last = self._lane_of(loop)
        return TaskTime(lane, loop, task, seconds)

    def _lane_of(self, loop: AbstractEventLoop) -> "Lane":
        lane = self._by_loop.get(loop)
        if lane is None:
            lane = self._by_loop[loop] = Lane(self._late, loop)
        return lane


class Lane(Expiries["TaskTime"]):
    """The queue of one event loop. Not thread-safe: it is used on that loop only.

    It keeps no timer handle and only a weak reference to the loop, so that a loop that is gone
    is not kept alive by it.

    Args:
        late: Counts what was stopped, and knows the guard's name.
        loop: Whose it is.
    """

    __slots__ = ("armed_at", "late", "loop")

    def __init__(self, late: Lateness, loop: AbstractEventLoop) -> None:
        super().__init__()
        self.late = late
        self.loop = ref(loop)
        self.armed_at = inf

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
    """The time that a task has for one block. For one use, by that task.

    A cancellation from outside stays a CancelledError, also if the time is over as well. What most
    never change stands in the class, as setting it would cost more than the rest.
    """

    is_live = True
    has_expired = False
    due_at: float
    _own_timer: TimerHandle | None = None
    _cancelling: int

    def __init__(
        self, lane: Lane, loop: AbstractEventLoop, task: "Task[object]", seconds: float
    ) -> None:
        self._lane = lane
        self._loop = loop
        self._task = task
        self._seconds = seconds

    def __enter__(self) -> None:
        """Begin the time.

        Raises:
            TimeoutExceededError: If there is none.
        """
        seconds, lane, loop = self._seconds, self._lane, self._loop
        if seconds <= 0:
            raise lane.late.error(seconds)
        self._cancelling = self._task.cancelling()
        self.due_at = due_at = loop.time() + seconds
        if not lane.add(self):
            self._own_timer = loop.call_at(due_at, self.expire)
        elif due_at < lane.armed_at:
            lane.arm(due_at, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self._own_timer is not None:
            self._own_timer.cancel()
        elif not self.has_expired:
            self._lane.end(self)
        if not self.has_expired or self._task.uncancel() > self._cancelling:
            return
        if kind is not None and issubclass(kind, CancelledError):
            raise self._lane.late.error(self._seconds) from error

    def expire(self) -> None:
        """Cancel the task: its time is over."""
        self.has_expired = True
        self._task.cancel()
