"""The standard streams of a command: pipes that are read here, and what it is given to read."""

import contextlib
import os

from resile.contain.output import Capture
from resile.contain.sandboxes import Stdio
from resile.contain.spec import RunSpec

_KEPT_BYTES_MAX = 64 << 20
"""Of each stream, where the output has no limit: a caller's memory has one."""


def open_stdio(spec: RunSpec, stack: contextlib.ExitStack) -> tuple[Stdio, list[Capture]]:
    """Open what becomes 0, 1 and 2 of a command; what stays with us is closed with the stack.

    The caller closes the writing ends when the command has its own.
    """
    captures, ends = [], []
    for name in ("stdout", "stderr"):
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_fd, False)
        capture = Capture(
            name,
            read_fd,
            bytes_max=spec.limits.output_bytes or _KEPT_BYTES_MAX,
            on_output=spec.on_output,
            has_room=spec.has_room,
        )
        stack.callback(capture.close)
        captures.append(capture)
        ends.append(write_fd)
    return Stdio(stdin_fd=_stdin(spec, stack), stdout_fd=ends[0], stderr_fd=ends[1]), captures


def _stdin(spec: RunSpec, stack: contextlib.ExitStack) -> int:
    if spec.stdin_fd >= 0:
        return spec.stdin_fd
    if spec.stdin:
        fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(spec.stdin)
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
