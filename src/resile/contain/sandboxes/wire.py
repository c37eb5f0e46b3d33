"""The control socket between us and a launcher's processes: what is sent, and what comes back.

Messages keep their borders (SOCK_SEQPACKET). One way go the recipe with the descriptors, then
`signal NUMBER`; to shut our end means: kill. The other way come `main` (from the command itself
right before its exec, with the seccomp listener), `started`, `warned` or `failed STAGE ERRNO
PATH`, and `ended STATUS SURVIVORS`. The kernel adds the sender's pid as we know it.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Sequence

from resile.contain.sandboxes.model import (
    LaunchFailed,
    MainEnded,
    Message,
    Started,
    Stdio,
    Warned,
)
from resile.contain.sandboxes.recipe import Recipe

_MESSAGE_BYTES_MAX = 8192
"""A path has at most 4096."""
_CREDENTIALS = struct.Struct("3i")
_FD = struct.Struct("i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_FD.size)


class Control:
    """Our end of the control socket. Not thread-safe."""

    def __init__(self) -> None:
        self._socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.setblocking(False)
        self._main_pid = 0
        self.notify_fd = -1
        self.has_ended = False

    @property
    def fd(self) -> int:
        """Readable when there is a message, or when the other end is gone."""
        return self._socket.fileno()

    @property
    def their_fd(self) -> int:
        """The launcher's end, which it inherits."""
        return self._theirs.fileno()

    def close_theirs(self) -> None:
        """Close our copy of the launcher's end, when it has its own."""
        self._theirs.close()

    def send_recipe(self, recipe: Recipe, stdio: Stdio, cgroup_fd: int) -> None:
        """Send the recipe and the descriptors. A launcher that is gone is seen by `read`."""
        recipe_fd = os.memfd_create("recipe", os.MFD_CLOEXEC)
        fds = [recipe_fd, stdio.stdin_fd, stdio.stdout_fd, stdio.stderr_fd]
        fds += [cgroup_fd] if cgroup_fd >= 0 else []
        try:
            _write_all(recipe_fd, recipe.encode())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self._socket, [b"recipe"], fds)
        finally:
            os.close(recipe_fd)

    def send_signal(self, number: int) -> None:
        """Ask for a signal to the main process."""
        with contextlib.suppress(OSError):
            self._socket.send(f"signal {number}".encode())

    def shut(self) -> None:
        """Let the launcher kill everything; what it says meanwhile can still be read."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self) -> Sequence[Message]:
        """Take the messages that have come. Does not block."""
        messages: list[Message] = []
        while not self.has_ended:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _MESSAGE_BYTES_MAX, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # It ended before it read all; the error comes once, before what it said.
            if not data:
                self.has_ended = True
            elif data == b"main":
                self._take(ancillary)
            else:
                messages.append(self._parsed(data))
        return messages

    def close(self) -> None:
        """Close both ends and the listener. Idempotent."""
        self._socket.close()
        self._theirs.close()
        if self.notify_fd >= 0:
            os.close(self.notify_fd)
            self.notify_fd = -1

    def _take(self, ancillary: Sequence[tuple[int, int, bytes]]) -> None:
        """Note who the main process is, and keep the listener that it sends."""
        for _, kind, data in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                self._main_pid = _CREDENTIALS.unpack(data)[0]
            elif kind == socket.SCM_RIGHTS and self.notify_fd < 0:
                self.notify_fd = _FD.unpack(data[: _FD.size])[0]

    def _parsed(self, data: bytes) -> Message:
        kind, _, rest = data.partition(b" ")
        if kind == b"started":
            return Started(pid=self._main_pid)
        if kind == b"ended":
            status, survivors = map(int, rest.split())
            return _ended(status, has_survivors=bool(survivors))
        stage, number, path = rest.split(b" ", 2)
        build = Warned if kind == b"warned" else LaunchFailed
        return build(stage=stage.decode(), number=int(number), path=os.fsdecode(path))


def _ended(status: int, *, has_survivors: bool) -> MainEnded:
    """Read what wait(2) gave."""
    has_exited = os.WIFEXITED(status)
    return MainEnded(
        exit_code=os.WEXITSTATUS(status) if has_exited else None,
        signal_number=0 if has_exited else os.WTERMSIG(status),
        core_dumped=not has_exited and os.WCOREDUMP(status),
        has_survivors=has_survivors,
    )


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
