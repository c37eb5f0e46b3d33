"""Tell whoever listens what happens in guards: beside the guarded calls, never in their way.

A signal is put into a bounded queue by the call that it is about; one thread hands it to the
listeners. Without a listener there is neither queue nor thread.
"""

import threading
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from resile.core.clock import Clock
from resile.errors import ConfigError
from resile.policies.context import correlation_id
from resile.policies.forks import renew_in_children
from resile.policies.tally import Tally

if TYPE_CHECKING:
    from queue import SimpleQueue

KINDS: Final = (
    "opened",
    "half_open",
    "closed",
    "mode",
    "retry",
    "gave_up",
    "budget_exhausted",
    "rejected",
    "timed_out",
)
STATE_KINDS: Final = KINDS[:4]
"""Those that are rare, and matter most."""
WAITING_MAX: Final = 4096
"""Signals that wait for slow listeners, about 2 MB; those of states have as many places besides."""
REJECTIONS_EVERY_S: Final = 0.1
"""A guard rejects up to millions of calls a second, and tells of them so often."""
_AT_EXIT_S: Final = 1.0
"""How long the end of the process waits for listeners at most."""


class Signal(NamedTuple):
    """Something that happened in a guard.

    Args:
        guard: Its name.
        kind: One of `KINDS`.
        at_s: When, in seconds since 1970 (UTC).
        detail: Few and small values: names, numbers, an operator's reason. No argument, result or
            error text of a call.
    """

    guard: str
    kind: str
    at_s: float
    detail: Mapping[str, object]


Listener = Callable[[Signal], None]


class Post:
    """The listeners of a process, and the thread that serves them. Safe to share between threads.

    In the child of a fork the listeners stay, and the thread is started by the first signal.
    """

    def __init__(self) -> None:
        self._listeners: tuple[_Heard, ...] = ()
        self._companions: tuple[_Heard, ...] = ()
        self.is_heard = False
        """True if anybody wants to know; read by each call that has something to tell."""
        self._queue: SimpleQueue[Signal | threading.Event | _Heard | None] | None = None
        self._thread: threading.Thread | None = None
        self._knows_exit = False
        self.dropped = 0
        """Signals for which there was no place."""
        self.failed = 0
        """Listeners that were let go because they raised."""
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: what waits is the parent's."""
        self._lock = threading.Lock()
        self._thread = None
        if self._queue is not None:
            self._queue = _queue()
        for heard in self._listeners:
            heard.is_in_turn = True

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every signal from now on given to `listener`."""
        heard = _Heard(listener)
        with self._lock:
            self._listeners = (*self._listeners, heard)
            if self._queue is None:
                self._queue = _queue()
            self._queue.put(heard)
            self._start()
            self.is_heard = True
        return lambda: self._end(heard)

    def accompany(self, companion: Listener) -> Callable[[], None]:
        """Have every signal given to `companion` in the place and the moment in which it arises.

        For what belongs to the call, such as an event of its tracing span: it runs in the guarded
        call, perhaps while its breaker's lock is held. So it must be quick, wait for nothing, and
        call nothing that is guarded.
        """
        heard = _Heard(companion)
        with self._lock:
            self._companions = (*self._companions, heard)
            self.is_heard = True
        return lambda: self._end(heard)

    def tell(self, guard: str, kind: str, clock: Clock, detail: Mapping[str, object]) -> None:
        """Give a signal to companions, and put it into the queue unless that is full. Never blocks."""
        if correlation := correlation_id():
            detail = {**detail, "correlation_id": correlation}
        signal = Signal(guard, kind, clock.now().timestamp(), detail)
        for companion in self._companions:
            self._give(companion, signal)
        queue = self._queue
        if queue is None:
            return
        if queue.qsize() >= (2 * WAITING_MAX if kind in STATE_KINDS else WAITING_MAX):
            self.dropped += 1
            return
        if self._thread is None and not self._is_started():
            return
        queue.put(signal)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told before has been handed out; False if that took longer."""
        queue, thread = self._queue, self._thread
        if queue is None or thread is None or thread is threading.current_thread():
            return queue is None or queue.empty()
        done = threading.Event()
        queue.put(done)
        return done.wait(timeout_s)

    def _is_started(self) -> bool:
        """Start the thread for a signal; False if the machine or the end of the process forbids."""
        try:
            with self._lock:
                self._start()
        except RuntimeError:
            self.dropped += 1
            return False
        return True

    def _start(self) -> None:
        """Start the thread if there is none; the caller holds the lock."""
        if self._thread is not None or self._queue is None:
            return
        thread = threading.Thread(
            target=self._serve, args=(self._queue,), name="resile-signals", daemon=True
        )
        thread.start()
        self._thread = thread
        if not self._knows_exit:
            import atexit

            atexit.register(self.flush, _AT_EXIT_S)
            self._knows_exit = True

    def _end(self, heard: "_Heard") -> None:
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not heard)
            self._companions = tuple(one for one in self._companions if one is not heard)
            if not self._listeners and self._queue is not None:
                self._queue.put(None)
                self._queue = self._thread = None
            self.is_heard = bool(self._listeners or self._companions)

    def _serve(self, queue: "SimpleQueue[Signal | threading.Event | _Heard | None]") -> None:
        while (item := queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            if isinstance(item, _Heard):
                item.is_in_turn = True
                continue
            for listener in self._listeners:
                if listener.is_in_turn:
                    self._give(listener, item)

    def _give(self, listener: "_Heard", signal: Signal) -> None:
        """Give a signal to a listener, and let it go if it raises: the others shall have theirs."""
        try:
            listener(signal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the listener's
            self.failed += 1
            self._end(listener)
            _report(listener, error)


class _Heard:
    """One listener. The same function may listen twice, and end each by itself."""

    __slots__ = ("_listener", "is_in_turn")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.is_in_turn = False
        """True once all that was told before it listened has been handed out."""

    def __call__(self, signal: Signal) -> None:
        self._listener(signal)

    def __repr__(self) -> str:
        return repr(self._listener)


POST: Final = Post()
"""The signals of this process."""


def listen(listener: Callable[[Signal], None]) -> Callable[[], None]:
    """Have every signal from now on given to `listener`, in a thread of its own, in their order.

    A listener that raises is let go; that is logged and counted. One that is slow makes signals
    wait, up to 4096 of them; further ones are dropped and counted. A guarded call waits for neither.

    Returns:
        What ends it; harmless if called again.

    Raises:
        ConfigError: If the listener is not callable.
    """
    if not callable(listener):
        raise ConfigError(
            f"{listener!r} is not callable, so it hears nothing",
            hint="give a function of one signal, such as print",
        )
    return POST.listen(listener)


def flush(timeout_s: float = 1.0) -> bool:
    """Wait until the listeners have all signals that were told before, as a test does.

    The end of the process does so by itself, for a second at most.

    Returns:
        False if it took longer, or is called by a listener while more is waiting.
    """
    return POST.flush(timeout_s)


class Rejections(Tally):
    """Rejections of one policy of one guard, counted; told of at most ten times a second.

    `add` may be called by any thread at any time.

    Args:
        guard: The guard's name.
        clock: For the time between two signals.
        by: The policy's name, such as "breaker".
    """

    __slots__ = ("_by", "_clock", "_guard", "_lock", "_next_s", "_told")

    def __init__(self, guard: str, clock: Clock, by: str) -> None:
        super().__init__()
        self._guard = guard
        self._clock = clock
        self._by = by
        self._next_s = -inf
        self._told = 0
        self.renew()

    def renew(self) -> None:
        """Make the lock anew, as in the child of a fork."""
        self._lock = threading.Lock()

    def add(self) -> None:
        """Count one more."""
        next(self.steps)
        if POST.is_heard and self._clock.monotonic() >= self._next_s:
            self._tell()

    def count(self) -> int:
        """Tell how many there were since the last `reset`."""
        with self._lock:
            return self.value()

    def reset(self) -> None:
        """Begin a new count."""
        with self._lock:
            self.zero()

    def _tell(self) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if now < self._next_s:
                return
            self._next_s = now + REJECTIONS_EVERY_S
            total = self.total()
            count, self._told = total - self._told, total
        POST.tell(self._guard, "rejected", self._clock, {"by": self._by, "count": count})


def _queue() -> "SimpleQueue[Signal | threading.Event | _Heard | None]":
    from queue import SimpleQueue

    return SimpleQueue()


def _report(listener: object, error: Exception) -> None:
    import logging

    logging.getLogger(__name__).warning(
        "policies.listener_dropped", extra={"listener": repr(listener)}, exc_info=error
    )
