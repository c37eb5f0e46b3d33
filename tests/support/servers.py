"""Servers that behave as a test wants, on loopback and on ports of the kernel's choice."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Behaviour = Callable[[socket.socket, threading.Event], None]
"""Serves one connection; the event is set when the test is over."""

PATIENCE_S = 20.0
REQUEST_BYTES_MAX = 1 << 16


@dataclass
class Served:
    """What a scripted server saw."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def scripted(behave: Behaviour, *, wants_request: bool = True) -> Iterator[Served]:
    """Serve every connection with one behaviour, each on a thread of its own."""
    is_over = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = Served(server.getsockname()[1])

        def serve(connection: socket.socket) -> None:
            # What a client does to its connection is no failure of the server.
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                if wants_request:
                    served.requests.append(connection.recv(REQUEST_BYTES_MAX))
                behave(connection, is_over)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    thread = threading.Thread(target=serve, args=(server.accept()[0],))
                    threads.append(thread)
                    thread.start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield served
        finally:
            is_over.set()
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join(PATIENCE_S)
            for thread in threads:
                thread.join(PATIENCE_S)


def answering(*parts: bytes) -> Behaviour:
    """Send these bytes and hang up."""

    def behave(connection: socket.socket, _: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


def silent(_: socket.socket, is_over: threading.Event) -> None:
    """Take the connection and say nothing."""
    is_over.wait(PATIENCE_S)


def trickling(before: bytes, byte: bytes) -> Behaviour:
    """Send something, then a byte every 20 ms for ever."""

    def behave(connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(before)
        while not is_over.wait(0.02):
            connection.sendall(byte)

    return behave


def flooding(before: bytes) -> Behaviour:
    """Send something, then as much as the client takes."""

    def behave(connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(before)
        while not is_over.is_set():
            connection.sendall(b"x" * 65536)

    return behave


def resetting(connection: socket.socket, _: threading.Event) -> None:
    """Answer with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Give a port on which nobody listens, and keep it from others."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def full_backlog(address: str | tuple[str, int], family: int) -> Iterator[socket.socket]:
    """Listen, with a queue in which no further connection has room."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        server.bind(address)
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield server


@contextlib.contextmanager
def unix_listener(path: Path) -> Iterator[Path]:
    """Listen on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield path
