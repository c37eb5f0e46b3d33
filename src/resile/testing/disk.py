"""A disk of a store that fails, lies or crashes at a chosen step, and a power cut.

To try every crash point of whatever uses a store in a folder:

    for step in itertools.count(1):
        disk = FaultyDisk(crash_at=step)
        try:
            put(LocalBackend(folder, disk=disk), "packs/a", b"whole")
        except Crash:
            disk.power_cut()                # or not: then it was the process that died
            assert ...                      # no file, or a whole one
        else:
            break                           # there are fewer steps than `step`
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from resile.store.backends.disk import SYSTEM_DISK, Disk
from resile.testing.files import Crash

_Key = tuple[int, int]


class FaultyDisk:
    """A real disk whose n-th step crashes, fails or lies. Not thread-safe.

    Args:
        crash_at: Raise `Crash` in place of this step (1-based) and of every later one, as the
            process is dead; 0 means never.
        fail_at: Raise `error` in place of this step, once; 0 means never.
        lie_at: If this step is a write, claim it done and write nothing; 0 means never.
        error: What `fail_at` raises. Default: no space left on the device.
        write_bytes_max: How much a write takes at once; None: all.
        disk: What does the work. Default: the machine's.
    """

    def __init__(
        self,
        *,
        crash_at: int = 0,
        fail_at: int = 0,
        lie_at: int = 0,
        error: OSError | None = None,
        write_bytes_max: int | None = None,
        disk: Disk = SYSTEM_DISK,
    ) -> None:
        self.steps: list[str] = []
        """What was done, by the names of the methods."""
        self._crash_at = crash_at
        self._fail_at = fail_at
        self._lie_at = lie_at
        self._error = error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write_bytes_max = write_bytes_max
        self._disk = disk
        self._undo: dict[_Key, list[Callable[[], object]]] = {}
        self._dirty: dict[_Key, int] = {}

    def make_folder(self, name: str, *, folder_fd: int | None) -> None:
        """Make a folder; gone in a power cut until what holds it is synced."""
        self._step("make_folder")
        path = Path(name) if folder_fd is None else _path(folder_fd) / name
        is_new = not path.exists()
        self._disk.make_folder(name, folder_fd=folder_fd)
        if is_new:
            self._undo_later(path.parent, lambda: shutil.rmtree(path))

    def create(self, name: str, *, folder_fd: int) -> int:
        """Make a file."""
        self._step("create")
        fd = self._disk.create(name, folder_fd=folder_fd)
        path = _path(folder_fd) / name
        self._undo_later(path.parent, lambda: path.unlink(missing_ok=True))
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        """Append, or claim to have; lost in a power cut until the file is synced."""
        self._step("write")
        if _key(fd) not in self._dirty:
            # A description of its own, so that it does not keep the file locked.
            self._dirty[_key(fd)] = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        if len(self.steps) == self._lie_at:
            return len(data)
        return self._disk.write(fd, data[: self._write_bytes_max])

    def sync(self, fd: int) -> None:
        """Make what was done so far survive a power cut."""
        self._step("sync")
        self._disk.sync(fd)
        self._undo.pop(_key(fd), None)
        if (dirty := self._dirty.pop(_key(fd), None)) is not None:
            os.close(dirty)

    def link(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Give a file a second name."""
        self._step("link")
        self._disk.link(source, target, source_fd=source_fd, target_fd=target_fd)
        path = _path(target_fd) / target
        self._undo_later(path.parent, lambda: path.unlink(missing_ok=True))

    def replace(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Rename; undone by a power cut until the target's folder is synced."""
        self._step("replace")
        before, after = _path(source_fd) / source, _path(target_fd) / target
        restore = self._kept(after) if after.exists() else None
        self._disk.replace(source, target, source_fd=source_fd, target_fd=target_fd)
        if restore is not None:
            self._undo_later(after.parent, restore)
        self._undo_later(after.parent, lambda: after.replace(before))

    def remove(self, name: str, *, folder_fd: int) -> None:
        """Remove a name; undone by a power cut until the folder is synced."""
        self._step("remove")
        path = _path(folder_fd) / name
        restore = self._kept(path) if path.exists() else None
        self._disk.remove(name, folder_fd=folder_fd)
        if restore is not None:
            self._undo_later(path.parent, restore)

    def power_cut(self) -> None:
        """Undo what was not made durable: the worst that a disk may do with it."""
        for fd in self._dirty.values():
            os.ftruncate(fd, 0)
            os.close(fd)
        for undo in reversed([undo for undos in self._undo.values() for undo in undos]):
            undo()
        self._dirty.clear()
        self._undo.clear()

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if 0 < self._crash_at <= len(self.steps):
            raise Crash(f"crashed at step {len(self.steps)}: {name}")
        if len(self.steps) == self._fail_at:
            raise self._error

    def _undo_later(self, folder: Path, undo: Callable[[], object]) -> None:
        status = folder.stat()
        self._undo.setdefault((status.st_dev, status.st_ino), []).append(undo)

    def _kept(self, path: Path) -> Callable[[], object]:
        content, mode = path.read_bytes(), path.stat().st_mode

        def restore() -> None:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            try:
                os.write(fd, content)
            finally:
                os.close(fd)

        return restore


def _key(fd: int) -> _Key:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _path(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()
