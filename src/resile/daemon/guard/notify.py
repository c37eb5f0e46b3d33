"""What services say of themselves: a socket for each instance, with systemd's words.

A message counts only if the kernel says that its sender is in the instance's group; anybody else
who can reach the socket is not heard. Nor is a sender that has ended before we look, unless it
waits for us as `systemd-notify` does. MAINPID and everything unknown is ignored.

Source: sd_notify(3).
"""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resile.core.clock import Clock
from resile.core.files import make_private_dir
from resile.errors import OperationError

MESSAGES_PER_S_MAX = 100
"""What is above is read and dropped, so that the sender does not wait; see FLAG_PAUSE_S."""
FLAG_PAUSE_S = 0.1
"""Above the rate, READY, STOPPING and WATCHDOG are still told, each so often at most: what is
dropped of them says only what was said a moment ago."""
STATUS_CHARS_MAX = 200
_MESSAGE_BYTES_MAX = 4096
_FDS_MAX = 16
_PATH_BYTES_MAX = 107
"""sun_path holds 108 bytes with the closing zero."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of a service."""

    is_ready: bool = False
    is_stopping: bool = False
    is_watchdog: bool = False
    status: str = ""

    def flags(self) -> tuple[str, ...]:
        """Name what it says besides its status."""
        said = {"READY": self.is_ready, "STOPPING": self.is_stopping, "WATCHDOG": self.is_watchdog}
        return tuple(flag for flag, is_said in said.items() if is_said)


def parse_said(message: bytes) -> Said | None:
    """Read a message; None if it says nothing that we know."""
    fields = dict(
        line.split("=", 1) for line in message.decode(errors="replace").splitlines() if "=" in line
    )
    said = Said(
        is_ready=fields.get("READY") == "1",
        is_stopping=fields.get("STOPPING") == "1",
        is_watchdog=fields.get("WATCHDOG") == "1",
        status=fields.get("STATUS", "")[:STATUS_CHARS_MAX],
    )
    return None if said == Said() else said


def notify_folder(run: Path, unit: str) -> Path:
    """Make the private folder for the sockets: in `run`, or in /tmp if that path is too long.

    Raises:
        OperationError: If it cannot be made, or is somebody else's.
    """
    folder = run / "notify"
    if len(os.fsencode(folder)) > _PATH_BYTES_MAX - 40:  # A socket's own name is shorter.
        folder = Path(f"/tmp/resile-{os.geteuid()}-{unit}")  # noqa: S108 - private, or refused
    make_private_dir(folder)
    return folder


def remove_notify_folder(folder: Path) -> None:
    """Remove a folder that `notify_folder` made, with what a killed guard left in it."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


class NotifySocket:
    """The socket of one instance. Not thread-safe.

    Args:
        path: Where it is bound; its folder is private. A left-over is replaced.
        members: Tells who may speak.
        on_said: Called with each message that counts.
        clock: Bounds the rate.
    """

    def __init__(
        self,
        path: Path,
        *,
        members: Callable[[], tuple[int, ...]],
        on_said: Callable[[Said], None],
        clock: Clock,
    ) -> None:
        self.path = path
        self._members = members
        self._on_said = on_said
        self._clock = clock
        self._window_began_s = clock.monotonic()
        self._window_count = 0
        self._flags_told_s: dict[str, float] = {}
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            path.unlink(missing_ok=True)
            self._sock.bind(str(path))
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        except OSError as exc:
            self._sock.close()
            raise OperationError(f"socket {path} cannot be made: {exc}") from exc

    def fileno(self) -> int:
        """Give the descriptor to watch."""
        return self._sock.fileno()

    def read(self) -> None:
        """Take one message, if there is one."""
        ancillary_size = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_FDS_MAX * 4)
        try:
            message, ancillary, _, _ = self._sock.recvmsg(_MESSAGE_BYTES_MAX, ancillary_size)
        except BlockingIOError:
            return
        # Closed only at the end: `systemd-notify` lives until then, so that we can see who it is.
        fds = _received_fds(ancillary)
        try:
            said = parse_said(message)
            if said is not None and _sender(ancillary) in self._members() and self._is_told(said):
                self._on_said(said)
        finally:
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        """Close and unbind. Idempotent."""
        self._sock.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _is_told(self, said: Said) -> bool:
        """Tell whether a member's message is within the rate, or too important to be dropped."""
        now_s = self._clock.monotonic()
        if now_s - self._window_began_s >= 1:
            self._window_began_s = now_s
            self._window_count = 0
        self._window_count += 1
        due = [
            flag
            for flag in said.flags()
            if now_s - self._flags_told_s.get(flag, -FLAG_PAUSE_S) >= FLAG_PAUSE_S
        ]
        is_told = self._window_count <= MESSAGES_PER_S_MAX or bool(due)
        if is_told:
            self._flags_told_s.update(dict.fromkeys(said.flags(), now_s))
        return is_told


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Tell the pid that the kernel vouches for; -1 if it does not."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    return -1


def _received_fds(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    """List the descriptors that came along; they are ours to close."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
    return ()
