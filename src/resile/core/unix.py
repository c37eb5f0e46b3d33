"""Connect to a unix socket, and ask one question over it: a JSON object in a line, and one back."""

import json
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from resile.core.clock import SYSTEM_CLOCK, Clock

ANSWER_BYTES_MAX = 1 << 16
_PATH_BYTES_MAX = 107
"""sun_path has 108 bytes, one of them for the zero at the end (unix(7))."""
_UCRED = struct.Struct("3i")


class Peer(NamedTuple):
    """Who is at the other end of a unix socket, as the kernel says: nobody can claim another."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Tell who connected, or who listened, when the connection was made (SO_PEERCRED, unix(7)).

    Raises:
        OSError: If the socket is not connected.
    """
    size = _UCRED.size
    return Peer(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def connect_unix(path: Path, *, timeout_s: float) -> socket.socket:
    """Connect to a unix socket whose path may be longer than the kernel's 107 bytes.

    Raises:
        OSError: As connect(2) does.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        client.settimeout(timeout_s)
        if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
            client.connect(os.fspath(path))
            return client
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except BaseException:
        client.close()
        raise
    return client


def ask_unix(
    path: Path, question: Mapping[str, Any], *, timeout_s: float, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Any]:
    """Ask whoever listens there, and wait for the answer.

    Args:
        path: The socket.
        question: What is asked.
        timeout_s: For all of it together, above 0.
        clock: Measures it.

    Raises:
        OSError: If nobody listens, or the other side hangs up.
        TimeoutError: If there is no answer in time; what was asked for may be done nevertheless.
        ValueError: If the answer is none.
    """
    deadline_s = clock.monotonic() + timeout_s
    with connect_unix(path, timeout_s=timeout_s) as client:
        client.sendall(json.dumps(question).encode() + b"\n")
        data = bytearray()
        while not data.endswith(b"\n"):
            left_s = deadline_s - clock.monotonic()
            if left_s <= 0:
                raise TimeoutError
            client.settimeout(left_s)
            part = client.recv(ANSWER_BYTES_MAX)
            if not part:
                raise ConnectionResetError("the other side hung up")
            data += part
            if len(data) > ANSWER_BYTES_MAX:
                raise ValueError("the answer does not end")
    answer = json.loads(data)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")  # noqa: TRY004 - a wrong value from outside
    return answer
