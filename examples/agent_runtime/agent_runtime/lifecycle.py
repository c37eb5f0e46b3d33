"""What the processes share: bounded threads, a start that says where, a stop that drains."""

import logging
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from agent_runtime.notify import notify

CONNECTIONS_MAX = 64
"""At once, in each process. One more is turned away instead of queued."""
DRAIN_S = 3.0
"""How long open requests may take after SIGTERM."""
ABORT_S = 1.0
"""How long they may take once they were aborted. Both together are below `resile.toml`'s 5 s."""
POLL_S = 0.2
"""How often the accept loop looks up from waiting: it notices a stop and pings the watchdog."""

logger = logging.getLogger(__name__)


class BoundedThreads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server with one thread for each connection, and at most CONNECTIONS_MAX of them."""

    daemon_threads = True  # `drain` waits for them, for a bounded time.
    request_queue_size = 128

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._free = 0  # Slots that `drain` has collected.
        super().__init__(*args, **kwargs)

    @property
    def connections(self) -> int:
        """How many are open."""
        return CONNECTIONS_MAX - self._slots._value  # noqa: SLF001 - it keeps the only count

    def turn_away(self, request: Any) -> None:
        """Tell a client that there is no slot left; the connection is closed afterwards."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or turn it away."""
        if not self._slots.acquire(blocking=False):
            self.turn_away(request)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # No thread to be had.
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def drain(self, timeout_s: float) -> bool:
        """Wait until every connection has been served; False if the time ran out."""
        deadline = time.monotonic() + timeout_s
        while self._free < CONNECTIONS_MAX:
            if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            self._free += 1
        return True

    def handle_error(self, *_: Any) -> None:
        """Log what a connection broke on; a client that hangs up is no news."""
        failure = sys.exception()
        if not isinstance(failure, ConnectionError | TimeoutError):
            logger.error("a connection failed", exc_info=failure)


def serve(
    name: str,
    open_server: Callable[[], BoundedThreads],
    *,
    where: str,
    abort: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is open and return.

    Args:
        name: Of the process, for its log.
        open_server: Binds the server.
        where: What it binds to, for the message when it cannot.
        abort: Cuts short what is still open DRAIN_S after the signal.

    Raises:
        SystemExit: With a message, if the address cannot be bound.
    """
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", stream=sys.stdout)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = open_server()
    except OSError as exc:
        raise SystemExit(f"{name}: cannot listen on {where}: {exc.strerror or exc}") from exc
    with server:
        loop = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="accept")
        loop.start()
        notify("READY=1")
        # With a time-out: a signal that another thread gets does not wake a wait without an end.
        while not stop.wait(POLL_S):
            pass
        notify("STOPPING=1")
        server.shutdown()
        loop.join()
    if not server.drain(DRAIN_S):
        abort()
        if not server.drain(ABORT_S):
            logger.warning("stopped with requests still open")
