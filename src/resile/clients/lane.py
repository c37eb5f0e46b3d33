"""The background lane: one thread that carries what a process says to the daemon, and orders back.

Whoever says something only puts it down in memory. The thread looks at it four times a second;
it alone touches the socket. Without a daemon everything goes on as it is: the thread tries again,
ever less often, and says the state of things when one is there.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resile.clients import wire
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.log_line import log_line
from resile.core.unix import connect_unix, peer_of
from resile.errors import ConfigError, ResileError

logger = logging.getLogger(__name__)

TICK_S = 0.25
"""What happened waits so long at most; an order does not wait."""
CONNECT_TIMEOUT_S = 2.0
SEND_TIMEOUT_S = 5.0
"""A daemon that reads nothing for so long is left, and looked for again."""
AGAIN_S_MIN, AGAIN_S_MAX = 0.25, 5.0
"""A daemon that was restarted is found at once; one that is not there costs one look in five seconds."""
REFUSED_S = 60.0
"""Another version will not become this one soon."""
TOPICS_MAX = 16
SENT_MAX = 1000
"""Things that happened and are not said yet, of each topic; the oldest go, and are counted."""
BATCH_MAX = 100
ORDERS_KEPT_MAX = 256
_READ_BYTES = 1 << 16
_NOTHING_YET = "there was nothing to say yet"

Work = Callable[[], None]
Take = Callable[[Any], None]
"""Takes an order's value, in the lane's thread: quick, or others wait. Its error is told back."""


class Lane:
    """The line of this process to one daemon. Safe to share between threads.

    Args:
        state: The daemon's state folder.
        program: How this process is called in the daemon's tables.
        clock: Paces the thread.
    """

    def __init__(self, state: Path, *, program: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = state / "run" / wire.SOCKET_NAME
        self._program = program
        self._clock = clock
        self._lock = threading.RLock()  # A signal handler may say something, too.
        self._published: dict[str, Any] = {}
        self._sending: dict[str, deque[Any]] = {}
        self._lost: dict[str, int] = {}
        self._takers: dict[str, Take] = {}
        self._work: list[Work] = []
        self._done: OrderedDict[str, str] = OrderedDict()
        self._unsaid: set[str] = set()
        self._complained: set[object] = set()
        """What was logged already: a topic or a piece of work fails once in the log, not for ever."""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self._trouble = _NOTHING_YET
        self.connections = 0
        """How often a daemon was found; one that was found anew has to be told all again."""

    @property
    def trouble(self) -> str:
        """Tell why no daemon listens; empty while one does."""
        return self._trouble

    @property
    def state(self) -> Path:
        """Tell whose daemon it is: its state folder."""
        return self._path.parents[1]

    def publish(self, topic: str, value: Any) -> None:
        """Say what something is now. The last value counts; a new daemon hears it again.

        Args:
            topic: Lower-case letters and underscores, at most 32; at most 16 topics.
            value: JSON data. It is kept, so do not change it.

        Raises:
            ConfigError: If it is no topic, or there are too many.
        """
        with self._lock:
            self._check(topic, self._published)
            self._published[topic] = value
            self._unsaid.add(topic)

    def send(self, topic: str, value: Any) -> None:
        """Say what happened. In order; kept while no daemon listens, up to 1,000 of a topic.

        Raises:
            ConfigError: If it is no topic, or there are too many.
        """
        with self._lock:
            self._check(topic, self._sending)
            waiting = self._sending.setdefault(topic, deque())
            if len(waiting) >= SENT_MAX:
                waiting.popleft()
                self._lost[topic] = self._lost.get(topic, 0) + 1
            waiting.append(value)

    def on(self, topic: str, take: Take) -> None:
        """Have orders of a topic taken; a later taker replaces an earlier one.

        Raises:
            ConfigError: If it is no topic, or there are too many.
        """
        with self._lock:
            self._check(topic, self._takers)
            self._takers[topic] = take

    def work(self, work: Work) -> None:
        """Have something done in the lane's thread four times a second, such as a look at a state."""
        with self._lock:
            self._work.append(work)

    def start(self) -> None:
        """Begin to talk, if it has not begun. Does not wait."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="resile-lane", daemon=True)
                self._thread.start()
                _LANES.add(self)

    def close(self) -> None:
        """Hang up, and end the thread. What was not said stays unsaid. It cannot be started again."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(SEND_TIMEOUT_S)
        _LANES.discard(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: the line, and what was to be said, are the parent's."""
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._sending, self._lost = {}, {}
        self._done = OrderedDict()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._thread = None
        with contextlib.suppress(RuntimeError):  # The interpreter ends: nothing is said any more.
            self.start()

    def _check(self, topic: str, known: dict[str, Any]) -> None:
        if not wire.is_topic(topic):
            raise ConfigError(
                f"{topic!r} is no topic", hint="write lower-case letters and underscores, up to 32"
            )
        if topic not in known and len(known) >= TOPICS_MAX:
            raise ConfigError(f"there are {TOPICS_MAX} topics already", hint="put several into one")

    # In the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        # Signals are for the threads that the user knows of.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        again_s = AGAIN_S_MIN
        while not self._ended.wait(again_s):
            try:
                self._work_off()
                if self._published or self._sending:
                    self._talk()
            except _RefusedError as exc:
                self._trouble, again_s = str(exc), REFUSED_S
            except (OSError, wire.WireError) as exc:
                again_s = min(again_s * 2, AGAIN_S_MAX) if self._trouble else AGAIN_S_MIN
                self._trouble = str(exc) or type(exc).__name__

    def _talk(self) -> None:
        with connect_unix(self._path, timeout_s=CONNECT_TIMEOUT_S) as sock:
            if peer_of(sock).uid not in (0, os.geteuid()):
                raise OSError(f"{self._path} is another user's")
            self._socket = sock
            sock.settimeout(SEND_TIMEOUT_S)
            try:
                self._greet(sock)
                self._converse(sock)
            finally:
                self._socket = None

    def _greet(self, sock: socket.socket) -> None:
        sock.sendall(wire.to_line({"v": wire.VERSION, "program": self._program}))
        with self._lock:
            self._unsaid = set(self._published)

    def _converse(self, sock: socket.socket) -> None:
        lines = wire.Lines()
        readable = select.poll()  # select(2) cannot wait for a descriptor above 1023.
        readable.register(sock, select.POLLIN)
        said_s = self._clock.monotonic()
        while not self._ended.is_set():
            self._work_off()
            is_said = self._say(sock)
            now_s = self._clock.monotonic()
            if is_said:
                said_s = now_s
            elif now_s - said_s >= wire.HEARTBEAT_S:
                sock.sendall(wire.to_line({}))
                said_s = now_s
            if readable.poll(0 if is_said else TICK_S * 1000):
                data = sock.recv(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("the daemon hung up")
                for message in lines.feed(data):
                    self._hear(sock, message)

    def _work_off(self) -> None:
        for work in tuple(self._work):
            try:
                work()
            except Exception:
                if work not in self._complained:
                    logger.exception("lane.work_failed")
                self._complained.add(work)

    def _say(self, sock: socket.socket) -> bool:
        """Say what is new; False if nothing is."""
        with self._lock:
            topics, self._unsaid = self._unsaid, set()
            published = [{"publish": topic, "value": self._published[topic]} for topic in topics]
            sent = [self._batch(topic) for topic, waiting in self._sending.items() if waiting]
        for message in (*published, *sent):
            try:
                line = wire.to_line(message)
            except wire.WireError as exc:
                self._complain(message, exc)
                continue
            sock.sendall(line)
        return bool(published or sent)

    def _complain(self, message: dict[str, Any], error: wire.WireError) -> None:
        topic = message.get("publish") or message.get("send")
        if topic not in self._complained:
            fields: dict[str, object] = {"topic": topic, "reason": str(error)}
            logger.warning(log_line("lane.unsaid", fields), extra=fields)
        self._complained.add(topic)

    def _batch(self, topic: str) -> dict[str, Any]:
        waiting = self._sending[topic]
        values = [waiting.popleft() for _ in range(min(BATCH_MAX, len(waiting)))]
        return {"send": topic, "values": values, "lost": self._lost.pop(topic, 0)}

    def _hear(self, sock: socket.socket, message: dict[str, Any]) -> None:
        if "refused" in message:
            raise _RefusedError(f"the daemon refused: {wire.text_of(message['refused'])}")
        if message.get("v") == wire.VERSION:
            self._trouble = ""
            self.connections += 1
        elif "order" in message:
            order = wire.text_of(message["order"])
            error = self._obey(order, message)
            sock.sendall(wire.to_line({"done": order, "error": error}))

    def _obey(self, order: str, message: dict[str, Any]) -> str:
        """Carry an order out, unless it was; give the error, empty if there was none."""
        if order not in self._done:
            self._done[order] = self._take(message)
            if len(self._done) > ORDERS_KEPT_MAX:
                self._done.popitem(last=False)
        return self._done[order]

    def _take(self, message: dict[str, Any]) -> str:
        topic = wire.text_of(message.get("topic"))
        take = self._takers.get(topic)
        if take is None:
            return f"nobody here takes orders of {topic!r}"
        try:
            take(message.get("value"))
        except ResileError as exc:
            return wire.text_of(f"{exc.message}: {exc.hint}" if exc.hint else exc.message)
        except Exception as exc:
            logger.exception("lane.order_failed topic=%s", topic, extra={"topic": topic})
            return wire.text_of(f"{type(exc).__name__}: {exc}")
        return ""


class _RefusedError(Exception):
    """The daemon speaks another version."""


_LANES: weakref.WeakSet[Lane] = weakref.WeakSet()


def _renew_all() -> None:
    for lane in tuple(_LANES):
        lane.renew()


# After the import of threading, whose own renewal would forget a thread that was started before.
os.register_at_fork(after_in_child=_renew_all)
