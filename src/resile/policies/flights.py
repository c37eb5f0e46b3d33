"""Let one caller do what several want at the same time, and the others wait for what comes of it."""

import threading
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from functools import partial
from typing import Generic, TypeVar

from resile.core.clock import Clock, SystemClock
from resile.policies._async import asleep

O = TypeVar("O")  # noqa: E741 - an outcome

LED: ContextVar[tuple[object, ...]] = ContextVar("resile_flights", default=())
"""The flights that this thread or task leads: to wait for one of them would be for ever."""


class Flight(Generic[O]):
    """One call that is being made, and who waits for it.

    Safe to share between threads and tasks; it is landed once.
    """

    __slots__ = ("_has_landed", "_lock", "_wakers", "outcome")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_landed = False
        self._wakers: dict[object, Callable[[], object]] = {}
        self.outcome: O | None = None
        """What came of it; None if it has not landed, or its leader gave up."""

    def land(self, outcome: O | None) -> None:
        """Give the outcome to all who wait; None if there is none."""
        with self._lock:
            self._has_landed = True
            self.outcome = outcome
            wakers, self._wakers = self._wakers, {}
        for wake in wakers.values():
            try:
                wake()
            except RuntimeError:
                continue  # The loop of one who waits was closed.

    def wait(self, clock: Clock, seconds: float) -> bool:
        """Wait as a thread; False if it did not land in time."""
        parked = threading.Lock()
        parked.acquire()
        if not self._join(parked, parked.release):
            return True
        try:
            if isinstance(clock, SystemClock):
                return parked.acquire(timeout=seconds)
            clock.sleep(seconds)
            return self._has_landed
        finally:
            self._wakers.pop(parked, None)

    async def await_landing(self, clock: Clock, seconds: float) -> bool:
        """Wait as a task; False if it did not land in time."""
        import asyncio

        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()

        wake = partial(loop.call_soon_threadsafe, landed.set_result, None)
        if not self._join(landed, wake):
            return True
        try:
            if isinstance(clock, SystemClock):
                await asyncio.wait({landed}, timeout=seconds)
            else:
                await asleep(clock, seconds)
            return self._has_landed
        finally:
            self._wakers.pop(landed, None)

    @property
    def waiting(self) -> int:
        """Tell how many wait."""
        return len(self._wakers)

    def renew(self) -> None:
        """Forget who waits, and who held the lock, in the parent process."""
        self._lock = threading.Lock()
        self._wakers = {}

    def _join(self, who: object, wake: Callable[[], object]) -> bool:
        """Have somebody woken; False if it has landed already."""
        with self._lock:
            if not self._has_landed:
                self._wakers[who] = wake
            return not self._has_landed


class Flights(Generic[O]):
    """The flights by key. Not thread-safe: who shares it holds a lock."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Flight[O]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self, key: Hashable) -> tuple[Flight[O], bool]:
        """Give the flight of a key, and whether it is a new one that the caller leads."""
        flight = self._by_key.get(key)
        if flight is not None:
            return flight, False
        flight = self._by_key[key] = Flight()
        return flight, True

    def renew(self) -> None:
        """Forget the flights of the parent process; one that this thread leads may still land."""
        for flight in self._by_key.values():
            flight.renew()
        self._by_key = {}

    def end(self, key: Hashable, flight: Flight[O]) -> None:
        """Forget a flight, unless another has taken its place."""
        if self._by_key.get(key) is flight:
            del self._by_key[key]
