"""Locks of a simulation: `threading` builds its conditions, events, semaphores and queues on them."""

from math import inf
from types import TracebackType
from typing import Any

from resile.testing.scheduler import Scheduler, SimThread


class SimLock:
    """Stands in for `threading.Lock` in simulated threads.

    As with the real one, who waits longest need not be the next, and a newcomer may be quicker.

    Args:
        scheduler: Of the simulation in which it was made.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_locked = False
        self._waiters: list[SimThread] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Lock it; False if that was not possible in time."""
        scheduler = self._scheduler
        if scheduler.is_over or not scheduler.is_mine():
            was_locked, self._is_locked = self._is_locked, True
            return not was_locked or scheduler.is_over
        scheduler.pause()
        due_s = inf if timeout < 0 else scheduler.now_s + timeout
        while self._is_locked:
            if not blocking or scheduler.now_s >= due_s:
                return False
            self._waiters.append(scheduler.current)
            try:
                scheduler.park(due_s - scheduler.now_s)
            finally:
                self._waiters.remove(scheduler.current)
        self._is_locked = True
        return True

    def release(self) -> None:
        """Unlock it.

        Raises:
            RuntimeError: If it is not locked.
        """
        if not self._is_locked and not self._scheduler.is_over:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        if self._waiters:
            self._scheduler.unpark(self._scheduler.random.choice(self._waiters))

    def locked(self) -> bool:
        """Tell whether it is locked."""
        return self._is_locked

    def _at_fork_reinit(self) -> None:
        self._is_locked = False

    __enter__ = acquire

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class SimRLock:
    """Stands in for `threading.RLock` in simulated threads.

    Args:
        scheduler: Of the simulation in which it was made.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lock = SimLock(scheduler)
        self._owner: SimThread | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Lock it once more; False if that was not possible in time."""
        me = self._scheduler.current
        if self._owner is not me and not self._lock.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count += 1
        return True

    def release(self) -> None:
        """Unlock it once.

        Raises:
            RuntimeError: If another thread, or nobody, has it.
        """
        if not self._is_owned() and not self._scheduler.is_over:
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count <= 0:
            self._owner = None
            self._lock.release()

    def _is_owned(self) -> bool:
        return self._owner is self._scheduler.current

    def _release_save(self) -> Any:
        state, self._count, self._owner = self._count, 0, None
        self._lock.release()
        return state

    def _acquire_restore(self, state: Any) -> None:
        self._lock.acquire()
        self._owner, self._count = self._scheduler.current, state

    def _at_fork_reinit(self) -> None:
        self.__init__(self._scheduler)  # type: ignore[misc]

    __enter__ = acquire

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
