"""Where the brain listens: a TCP port that mostly reads, and a unix socket that commands."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from resile.core.files import SYSTEM_FILES
from resile.errors import OperationError

BACKLOG = 128
SOCKET_MODE = 0o600


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen on a TCP port.

    Raises:
        OperationError: If the address is taken or is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise OperationError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}",
            hint="end the program that has the port (`ss -ltnp` names it), "
            "or set another one: [resile] http = { port = ... }",
            is_transient=True,
        ) from exc
    return sock


def listen_unix(path: Path) -> socket.socket:
    """Listen on a unix socket that only this user may open; a stale one is replaced.

    The path may be longer than the 107 bytes that an address holds.

    Raises:
        OperationError: If it cannot be made.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f".{path.name}.{os.urandom(4).hex()}"
    try:
        with _short(path.parent) as folder:
            sock.bind(f"{folder}/{temporary}")
        os.chmod(path.parent / temporary, SOCKET_MODE)  # noqa: PTH101 - clearer beside bind
        sock.listen(BACKLOG)
        SYSTEM_FILES.replace(path.parent / temporary, path)
    except OSError as exc:
        sock.close()
        raise OperationError(
            f"cannot listen on {path}: {exc.strerror or exc}",
            hint=f"check the permissions of {path.parent} and the space on its disk",
        ) from exc
    return sock


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give a short name of a folder, through an open descriptor."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
