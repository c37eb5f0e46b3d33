"""JSON messages over a unix socket: four bytes of length, big-endian, then the text."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_runtime.settings import MESSAGE_BYTES_MAX

_LENGTH_BYTES = 4


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    connection.sendall(len(data).to_bytes(_LENGTH_BYTES, "big") + data)


def receive(connection: socket.socket) -> Mapping[str, Any] | None:
    """Receive one message; None if the other side closed the connection before it began.

    Raises:
        ValueError: If it is too long, cut short, or not a JSON object.
    """
    head = _read(connection, _LENGTH_BYTES)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or length > MESSAGE_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes; at most {MESSAGE_BYTES_MAX} are allowed")
    data = _read(connection, length)
    if len(data) < length:
        raise ValueError(f"the frame was cut after {len(data)} of {length} bytes")
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError(f"the frame holds a {type(message).__name__}, not an object")  # noqa: TRY004
    return message


def ask(path: Path, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
    """Send one message to the socket at `path` and give the answer.

    Raises:
        OSError: If nobody listens or answers in time.
        ValueError: If the answer makes no sense.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        send(connection, message)
        answer = receive(connection)
    if answer is None:
        raise ConnectionResetError("the other side closed the connection without an answer")
    return answer


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length and (piece := connection.recv(min(length - len(data), 1 << 16))):
        data += piece
    return bytes(data)
