"""A worker: a process that does one kind of task for its parent, until that one has no more.

It is started by `workers`. SIGTERM ends it like an exception that nobody catches, so that no file is
left in part; when the parent is gone, it ends at once.
"""

import importlib
import marshal
import os
import select
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Any

from resile import errors
from resile.errors import OperationError, ResileError

_LENGTH = struct.Struct("<I")
_MESSAGE_BYTES_MAX = 256 << 20
"""Far more than any task or answer has; what is longer comes of a fault."""

Plain = Any
"""What `marshal` writes: None, bool, int, float, str, bytes, and tuples, lists and dicts of those."""
Serve = Callable[[Plain], Plain]
"""Does one task; gives the answer, or raises."""


def send(channel: socket, value: Plain) -> None:
    """Send a message.

    Raises:
        OSError: EPIPE if the other side is gone.
    """
    data = marshal.dumps(value)
    if len(data) > _MESSAGE_BYTES_MAX:
        raise AssertionError(f"a message of {len(data)} bytes")
    channel.sendall(_LENGTH.pack(len(data)) + data)


def receive(channel: socket) -> Plain:
    """Wait for a message.

    Raises:
        EOFError: If the other side is gone.
    """
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    return marshal.loads(_read(channel, length))  # noqa: S302 - of our own process, over a pair of sockets


def failure_of(exc: BaseException) -> Plain:
    """Write down an exception, so that `error_of` makes the same one of it."""
    kind = type(exc)
    if isinstance(exc, ResileError) and getattr(errors, kind.__name__, None) is kind:
        return ("resile", kind.__name__, dict(vars(exc)), str(exc))
    if isinstance(exc, OSError) and exc.errno is not None:
        return ("system", exc.errno, exc.strerror)
    return ("fault", "".join(traceback.format_exception(exc)))


def error_of(failure: Plain) -> Exception:
    """Make the exception that `failure_of` wrote down; of a fault of ours an AssertionError."""
    if failure[0] == "resile":
        _, name, facts, text = failure
        kind: type[ResileError] = getattr(errors, name)
        error = kind.__new__(kind, text)
        vars(error).update(facts)
        return error
    if failure[0] == "system":
        return OSError(failure[1], failure[2])
    return AssertionError(f"a worker failed:\n{failure[1]}")


def gone(code: int) -> OperationError:
    """Make the error for a worker that ended in the middle of a task."""
    how = f"by signal {-code}" if code < 0 else f"with {code}"
    return OperationError(
        f"a worker process of ours ended {how} in the middle of its work",
        hint="did the machine run out of memory (dmesg), or somebody kill it? try again",
        is_transient=True,
    )


def _read(channel: socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


def _end_with_parent(channel: socket) -> None:
    """Wait until the parent has closed its end, as its death does too; then end, whatever else runs."""
    poll = select.poll()
    poll.register(channel, select.POLLRDHUP)
    while not poll.poll():
        pass
    os._exit(1)


def _work(channel: socket) -> None:
    """Get ready, and tell; then do a task after the other."""
    place, setup = receive(channel)
    try:
        module, _, name = place.partition(":")
        serve: Serve = getattr(importlib.import_module(module), name)(setup)
    except Exception as exc:  # noqa: BLE001 - the parent raises it
        return send(channel, (False, failure_of(exc)))
    send(channel, (True, None))
    while True:
        task = receive(channel)
        try:
            answer = (True, serve(task))
        except Exception as exc:  # noqa: BLE001 - the parent raises it
            answer = (False, failure_of(exc))
        send(channel, answer)


def _give_up(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(fd: int) -> None:
    """Be a worker: read what to do, then do a task after the other."""
    channel = socket(fileno=fd)
    signal.signal(signal.SIGTERM, _give_up)
    threading.Thread(target=_end_with_parent, args=(channel,), daemon=True).start()
    try:
        _work(channel)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
