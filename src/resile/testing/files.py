"""Files that fail or crash at a chosen step, and a power cut that takes what was not synced.

To try every crash point of a durable write:

    for step in itertools.count(1):
        files = FaultyFiles(crash_at=step)
        try:
            write_durable(path, b"new", files=files)
        except Crash:
            files.power_cut()               # or not: then it was the process that died
            assert path.read_bytes() in (b"old", b"new")
        else:
            break                           # the write has fewer steps than `step`
"""

from collections.abc import Iterator
from pathlib import Path

from resile.core.files import PRIVATE_FILE_MODE, SYSTEM_FILES, Files


class Crash(BaseException):
    """The process died here. No `except Exception` may stop it, as nothing stops a real one."""


class FaultyFiles:
    """Real files whose n-th step crashes or fails. Not thread-safe.

    `create` has three steps (the empty file, half of its content, all of it, synced), every
    other method one; the step at which it crashes is not done.

    Args:
        crash_at: Raise `Crash` in place of this step (1-based); 0 means never.
        fail_at: Raise `error` in place of this step, once; 0 means never.
        error: What `fail_at` raises. Default: no space left on the device.
        files: What does the work. Default: the machine's files.
    """

    def __init__(
        self,
        *,
        crash_at: int = 0,
        fail_at: int = 0,
        error: OSError | None = None,
        files: Files = SYSTEM_FILES,
    ) -> None:
        self.steps = 0
        self._crash_at = crash_at
        self._fail_at = fail_at
        self._error = error or OSError(28, "No space left on device")
        self._files = files
        self._before: dict[Path, bytes | None] = {}

    def create(self, path: Path, data: bytes, *, mode: int) -> None:
        """Make a new file: empty, half, whole."""
        self._step()
        self._remember(path)
        self._files.create(path, b"", mode=mode)
        for content in (data[: len(data) // 2], data):
            self._step()
            self._files.remove(path)
            self._files.create(path, content, mode=mode)

    def replace(self, source: Path, target: Path) -> None:
        """Rename; undone by a power cut until the folder is synced."""
        self._step()
        self._remember(source)
        self._remember(target)
        self._files.replace(source, target)

    def remove(self, path: Path) -> None:
        """Remove; undone by a power cut until the folder is synced."""
        self._step()
        self._remember(path)
        self._files.remove(path)

    def protect(self, path: Path) -> None:
        """Take the permission to write away."""
        self._step()
        self._files.protect(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries survive a power cut."""
        self._step()
        self._files.sync_folder(folder)
        for path in list(self._in(folder)):
            del self._before[path]

    def power_cut(self) -> None:
        """Undo what was not made durable: the worst that a disk may do with it."""
        for path, content in self._before.items():
            self._files.remove(path)
            if content is not None:
                self._files.create(path, content, mode=PRIVATE_FILE_MODE)
        self._before.clear()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._crash_at:
            raise Crash(f"crashed at step {self.steps}")
        if self.steps == self._fail_at:
            raise self._error

    def _remember(self, path: Path) -> None:
        if path not in self._before:
            self._before[path] = path.read_bytes() if path.exists() else None

    def _in(self, folder: Path) -> Iterator[Path]:
        return (path for path in self._before if path.parent == folder)
