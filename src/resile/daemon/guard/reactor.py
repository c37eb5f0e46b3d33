"""The guard's one thread of control: descriptors, timers and signals, by callbacks.

A callback must not block. One that raises is recorded and, if it belongs to a descriptor, not
called for a moment: a fault in the handling of one must neither end its watch nor starve the rest.
"""

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterable

from resile.core.clock import Clock

logger = logging.getLogger(__name__)

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
FAULT_PAUSE_S = 0.1
"""So long a descriptor whose callback raised is left alone, as it may be ready all the time."""
_SIGNAL_BYTES = 4096


class Timer:
    """A callback that is due at a time, unless it is cancelled before."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not call back. May come too late or twice."""
        self.is_cancelled = True


class Reactor:
    """Waits for whatever happens next and calls whoever wanted to know. Not thread-safe.

    Args:
        clock: Measures the timers.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._paused: dict[int, Timer] = {}
        self._is_stopped = False
        self._signal_sockets: tuple[socket.socket, ...] = ()
        self._caught: list[int] = []

    def watch(self, fd: int, callback: Callable[[], object], *, events: int = READ) -> None:
        """Call back whenever a descriptor is ready; replaces an earlier watch on it."""
        self._resume(fd)
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, callback)
        else:
            self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        """Stop watching; nothing happens if nobody did. Comes before the descriptor is closed."""
        self._resume(fd)
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        """Call back once, after a delay of 0 or more."""
        timer = Timer(callback)
        due_s = self._clock.monotonic() + delay_s
        heapq.heappush(self._timers, (due_s, next(self._order), timer))
        return timer

    def catch(self, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        """Call back with each signal of these that arrives. Only for the main thread, once."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        self._signal_sockets = (reader, writer)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _note)
            self._caught.append(number)

        def read() -> None:
            for number in sorted(set(reader.recv(_SIGNAL_BYTES))):
                attempt(lambda number=number: callback(number))  # type: ignore[misc]

        self.watch(reader.fileno(), read)

    def run(self) -> None:
        """Call back until `stop`."""
        while not self._is_stopped:
            self.turn(self._wait_s())

    def turn(self, wait_s: float | None) -> None:
        """Wait once, for at most `wait_s` (None: for ever), and make the calls that are due."""
        for key, _ in self._selector.select(wait_s):
            # An earlier callback of this turn may have unwatched it, or given its number anew.
            if self._selector.get_map().get(key.fd) == key and not attempt(key.data):
                self._pause(key.fd)
        now_s = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            timer = heapq.heappop(self._timers)[2]
            if not timer.is_cancelled:
                attempt(timer.callback)

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._is_stopped = True

    def close(self) -> None:
        """Let the signals and the descriptors go."""
        if self._signal_sockets:
            signal.set_wakeup_fd(-1)
        for number in self._caught:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        for end in self._signal_sockets:
            end.close()

    def _pause(self, fd: int) -> None:
        """Watch again a little later, unless the callback gave it up before it raised."""
        key = self._selector.get_map().get(fd)
        if key is not None:
            self.unwatch(fd)
            self._paused[fd] = self.call_later(
                FAULT_PAUSE_S, lambda: self.watch(fd, key.data, events=key.events)
            )

    def _resume(self, fd: int) -> None:
        paused = self._paused.pop(fd, None)
        if paused is not None:
            paused.cancel()

    def _wait_s(self) -> float | None:
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self._clock.monotonic())


def _note(_number: int, _frame: object) -> None:
    """Handle nothing: that there is a handler makes the kernel write to the wake-up socket."""


def attempt(callback: Callable[[], object]) -> bool:
    """Call; record what it raises, and tell whether it did not raise."""
    try:
        callback()
    except Exception:
        logger.exception("guard.callback_failed pid=%d", os.getpid())
        return False
    return True
