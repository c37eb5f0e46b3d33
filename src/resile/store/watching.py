"""Watching a folder for changes (inotify), so that a snapshot looks only where something happened.

    kernel -> events of watched folders -> set of folders, since the last time somebody took it

Only folders are watched, and each is noted when its watch stands: whatever happened before is seen
by whoever looks at it, whatever happens after makes an event. Where that chain breaks (the queue ran
over, the folder is not the one any more, something is mounted in it, no watch is to be had) nothing is
known, which is told as None: then all of it must be looked at. What the kernel does not tell is found by a full look now and
then: writes through a mapping or through a link in another folder, and changes by other machines.

Source: inotify(7).
"""

import contextlib
import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from resile.core.mounts import read_mounts
from resile.store.model import DEPTH_MAX
from resile.store.walk import EVERYTHING, Rules

CHANGED_MAX = 100_000
"""So many changed folders are remembered; above it a full look is the quicker way."""
LIMIT_FILE = Path("/proc/sys/fs/inotify/max_user_watches")
_IN_MODIFY, _IN_ATTRIB, _IN_CLOSE_WRITE = 0x2, 0x4, 0x8
_IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x40, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_UNMOUNT, _IN_OVERFLOW = 0x400, 0x800, 0x2000, 0x4000
_IN_IGNORED, _IN_ISDIR = 0x8000, 0x40000000
_IN_ONLYDIR, _IN_DONT_FOLLOW, _IN_EXCL_UNLINK = 0x1000000, 0x2000000, 0x4000000
_ALL = (_IN_MODIFY | _IN_ATTRIB | _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE) | (
    _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR
)
_HEADER = struct.Struct("iIII")
_READ_BYTES = 1 << 18
_LIBC = ctypes.CDLL(None, use_errno=True)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP)
"""A folder that went, became something else, or may not be read: whoever looks is told so too."""
_REMOTE = frozenset(
    (0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x00C36400, 0x47504653)
)
"""NFS, SMB, CIFS, SMB2, FUSE, 9P, Ceph, GPFS: others may change what is there without an event."""


class Watch:
    """Watches a folder and all below it. Safe to share between threads.

    Nothing is watched before the first `take`. It never fails: where watching is not possible,
    `take` gives None each time, and `trouble` says why.

    Args:
        source: The folder.
        rules: What snapshots of it leave out is not watched either.
        changed_max: So many changed folders are remembered. Default 100,000.
    """

    def __init__(
        self, source: Path, *, rules: Rules = EVERYTHING, changed_max: int = CHANGED_MAX
    ) -> None:
        self._source = os.fsencode(source.absolute())
        self._rules = rules
        self._changed_max = changed_max
        self._lock = threading.Lock()
        self._fd = -1
        self._identity = (0, 0)
        self._mounted: frozenset[int] = frozenset()
        self._paths: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._changed: set[bytes] = set()
        self._is_lost = False
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why it cannot watch; empty if it does, or has not begun."""
        return self._trouble

    @property
    def folders(self) -> int:
        """How many folders it watches."""
        return len(self._paths)

    def drain(self) -> None:
        """Take what the kernel holds, so that its queue does not run over. Does not block."""
        with self._lock:
            if self._fd >= 0:
                self._drain()

    def take(self) -> frozenset[bytes] | None:
        """Give the folders in which something may have changed since the last `take`, and begin anew.

        Paths from the source on, `b""` is the source; None: any of them, as nothing is known.
        Everything that was done before the call is in it.
        """
        with self._lock:
            if self._fd >= 0 and (
                self._identity != _identity(self._source)
                or self._mounted != _mounted_in(self._source)
            ):
                self._is_lost = True
            if self._fd >= 0:
                self._drain()
            if self._fd < 0 or self._is_lost:
                self._close()
                self._begin()
                return None
            taken, self._changed = frozenset(self._changed), set()
            return taken

    def put_back(self, taken: frozenset[bytes] | None) -> None:
        """Give back what `take` gave, because nobody could look there after all."""
        with self._lock:
            if taken is None or len(self._changed) + len(taken) > self._changed_max:
                self._is_lost = True
            else:
                self._changed |= taken

    def close(self) -> None:
        """Stop watching. Idempotent."""
        with self._lock:
            self._close()

    # With the lock ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Set all watches; whoever got None looks at everything after this."""
        self._trouble = _remote_trouble(self._source)
        if self._trouble:
            return
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            self._fail(ctypes.get_errno())
            return
        self._identity, self._mounted = _identity(self._source), _mounted_in(self._source)
        try:
            self._watch(b"")
        except OSError as exc:
            self._fail(exc.errno or 0)
            return
        self._changed.clear()
        self._is_lost = False

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._paths.clear()
        self._numbers.clear()
        self._changed.clear()
        self._is_lost = False

    def _fail(self, number: int) -> None:
        self._close()
        self._trouble = os.strerror(number)
        if number == errno.ENOSPC:
            most = _limit()
            self._trouble = (
                f"it has more folders than the kernel watches for a user ({most:,}); "
                f"raise it: sysctl fs.inotify.max_user_watches={max(most, 1 << 16) * 4}"
            )
        elif number == errno.EMFILE:
            self._trouble = "too many programs watch folders; raise fs.inotify.max_user_instances"

    def _watch(self, path: bytes) -> None:
        """Watch a folder and all below it; each is noted as changed once its watch stands.

        Raises:
            OSError: If no watch is to be had, or a path is too long.
        """
        waiting = [path]
        while waiting:
            path = waiting.pop()
            if self._add(path):
                self._note(path)
                waiting += self._below(path)

    def _add(self, path: bytes) -> bool:
        """Watch one folder; False if it is not there any more.

        Raises:
            OSError: As `_watch`.
        """
        mask = _ALL if not path else _ALL | _IN_DONT_FOLLOW
        number = _LIBC.inotify_add_watch(self._fd, self._full(path), ctypes.c_uint32(mask))
        if number < 0:
            code = ctypes.get_errno()
            if code in _GONE and path:
                return False
            raise OSError(code, os.strerror(code))
        known = self._paths.get(number)
        if known is not None and known != path:
            if _identity(self._full(known)) == _identity(self._full(path)):
                # One folder in two places, by a mount: nobody can tell its events apart.
                raise OSError(errno.ELOOP, "a folder is mounted in two places")
            self._unwatch(known)  # It was moved, and the event of that is still to come.
            return self._add(path)
        if self._numbers.get(path, number) != number:
            self._unwatch(path)  # Another folder had this name; the event of that is still to come.
        self._paths[number] = path
        self._numbers[path] = number
        return True

    def _below(self, path: bytes) -> list[bytes]:
        folder = os.fsdecode(path)
        if path.count(b"/") + 1 >= DEPTH_MAX:
            return []
        with contextlib.suppress(OSError), os.scandir(self._full(path)) as entries:
            return [
                _join(path, entry.name)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not self._is_left_out(folder, entry)
            ]
        return []

    def _is_left_out(self, folder: str, entry: "os.DirEntry[bytes]") -> bool:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return True
        return self._rules.leave_out(folder, os.fsdecode(entry.name), status)

    def _drain(self) -> None:
        while not self._is_lost:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self._is_lost = True
                return
            for number, mask, name in _events(data):
                try:
                    self._take_in(number, mask, name)
                except OSError as exc:
                    self._fail(exc.errno or 0)
                    self._is_lost = True
                    return

    def _take_in(self, number: int, mask: int, name: bytes) -> None:
        if mask & (_IN_OVERFLOW | _IN_UNMOUNT):
            self._is_lost = True
            return
        path = self._paths.get(number)
        if path is None:
            return  # Of a folder that was moved away or forgotten: it was noted where it is now.
        if mask & _IN_IGNORED:
            self._forget(number, path)
        elif not path and mask & (_IN_MOVE_SELF | _IN_DELETE_SELF):
            self._is_lost = True
        elif not mask & (_IN_MOVE_SELF | _IN_DELETE_SELF):
            self._note(path)
            if mask & _IN_ISDIR and name:
                self._take_in_folder(_join(path, name), mask)

    def _take_in_folder(self, path: bytes, mask: int) -> None:
        if mask & (_IN_MOVED_FROM | _IN_MOVED_TO):
            self._unwatch(path)
        # Where a folder was moved from is another one, if the two were exchanged.
        if mask & (_IN_CREATE | _IN_MOVED_FROM | _IN_MOVED_TO) or (
            mask & _IN_ATTRIB and path not in self._numbers
        ):
            parent, _, name = path.rpartition(b"/")
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = os.lstat(self._full(path))
                if not self._rules.leave_out(os.fsdecode(parent), os.fsdecode(name), status):
                    self._watch(path)

    def _unwatch(self, path: bytes) -> None:
        """Forget a folder and all below it: what is there now has another path, or none."""
        below = path + b"/"
        for known, number in list(self._numbers.items()):
            if known == path or known.startswith(below):
                _LIBC.inotify_rm_watch(self._fd, number)
                self._forget(number, known)

    def _forget(self, number: int, path: bytes) -> None:
        self._paths.pop(number, None)
        if self._numbers.get(path) == number:
            del self._numbers[path]

    def _note(self, path: bytes) -> None:
        self._changed.add(path)
        if len(self._changed) > self._changed_max:
            self._is_lost = True

    def _full(self, path: bytes) -> bytes:
        return self._source + b"/" + path if path else self._source


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Give what stands in a read: number of the watch, mask, name."""
    offset = 0
    while offset < len(data):
        number, mask, _, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield number, mask, data[offset : offset + length].rstrip(b"\0")
        offset += length


def _identity(path: bytes) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - bytes
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def _mounted_in(path: bytes) -> frozenset[int]:
    """Give the numbers of what is mounted below a folder: no event tells of that."""
    above = f"{os.fsdecode(os.path.realpath(path)).rstrip('/')}/"
    with contextlib.suppress(OSError):
        return frozenset(one.number for one in read_mounts() if f"{one.point}".startswith(above))
    return frozenset()


def _remote_trouble(path: bytes) -> str:
    """Say why a file system cannot be watched; empty if it can."""
    held = ctypes.create_string_buffer(256)
    if _LIBC.statfs(path, held) != 0:
        return os.strerror(ctypes.get_errno())
    kind = ctypes.c_long.from_buffer(held).value & 0xFFFFFFFF
    return "it is on a file system that others may change unseen" if kind in _REMOTE else ""


def _limit() -> int:
    try:
        return int(LIMIT_FILE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
