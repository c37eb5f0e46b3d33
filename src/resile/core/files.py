"""Files that survive a crash: durable writes, locks, private folders.

A durable write is: new file beside the target, write, fsync, rename over the target, fsync the
folder. After a crash at any step the target holds either all of the old content or all of the
new. Nothing else in resile renames or truncates files that matter.

Source: https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from resile.errors import AlreadyRunningError, OperationError

PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
_LOCK_NOTE_BYTES_MAX = 64


class Files(Protocol):
    """The steps of a durable write. A crash may come between any two of them.

    Every method raises OSError. Implementations are safe to share between threads.
    """

    def create(self, path: Path, data: bytes, *, mode: int) -> None:
        """Make a new file with this content, synced; refuses what exists, links included."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename within one file system; atomic. Durable after `sync_folder`."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; nothing happens if there is none. Durable after `sync_folder`."""
        ...

    def protect(self, path: Path) -> None:
        """Take everybody's permission to write away."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries durable."""
        ...


class SystemFiles:
    """The machine's own files."""

    def create(self, path: Path, data: bytes, *, mode: int) -> None:
        """Make a new file with this content, synced."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over the target if there is one."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file if there is one."""
        path.unlink(missing_ok=True)

    def protect(self, path: Path) -> None:
        """Take everybody's permission to write away."""
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


SYSTEM_FILES: Files = SystemFiles()


def write_durable(
    path: Path,
    data: bytes,
    *,
    mode: int = PRIVATE_FILE_MODE,
    files: Files = SYSTEM_FILES,
) -> None:
    """Put content at a path, all or nothing; durable when it returns.

    A link at `path` is replaced, not followed. Two writers at once: the later one wins whole.

    Args:
        path: The target; its folder must exist.
        data: The whole content.
        mode: The new file's permissions. Default 0600, because state may hold what is private.
        files: Where; tests give one that fails.

    Raises:
        OperationError: If it could not be written; the target is as it was, unless the last
            step failed: then it holds the new content, which may be lost in a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        try:
            files.create(temporary, data, mode=mode)
            files.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                files.remove(temporary)
            raise
        files.sync_folder(path.parent)
    except OSError as exc:
        raise OperationError(
            f"{path} could not be written: {exc.strerror or exc}",
            hint=f"Check the space on the disk and the permissions of {path.parent}.",
            is_transient=True,
        ) from exc


def replace_at(source: str, target: str, *, source_fd: int, target_fd: int) -> None:
    """Rename between two open folders of one file system, over the target; atomic.

    Durable after an fsync of both. A link is renamed itself, never followed.

    Raises:
        OSError: As rename(2).
    """
    os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE_MODE) -> None:
    """Put content at a path, all or nothing for whoever reads; not durable: a power cut may lose it.

    For what is worth nothing after one, such as the figures of a running process.

    Raises:
        OperationError: If it could not be written; the target is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OperationError(
            f"{path} could not be written: {exc.strerror or exc}",
            hint=f"Check the space on the disk and the permissions of {path.parent}.",
            is_transient=True,
        ) from exc


def make_private_dir(path: Path) -> None:
    """Make a folder that only this user can enter, and those above it; durable.

    An existing folder of ours loses its permissions for others.

    Raises:
        OperationError: If it cannot be made, is no folder, is a link, or is somebody else's.
    """
    try:
        is_new = _make_folder(path)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise OperationError(
                f"{path} is not a folder of this user",
                hint="Remove it, or choose another place; a link is not followed.",
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(PRIVATE_FOLDER_MODE)
        if is_new:
            SYSTEM_FILES.sync_folder(path.parent)
    except OSError as exc:
        raise OperationError(
            f"folder {path} could not be made: {exc.strerror or exc}",
            hint=f"Check the permissions of {path.parent} and the space on the disk.",
        ) from exc


class FileLock:
    """A held exclusive lock; the kernel lets it go when the process ends, however it ends.

    Not thread-safe. A child that is forked meanwhile has a copy, by which the lock lives on if
    this process dies first; it is let go here all the same, and never there.
    """

    def __init__(self, fd: int, path: Path) -> None:
        self.path = path
        self._fd = fd
        self._owner_pid = os.getpid()

    def note(self, text: str) -> None:
        """Write who holds the lock, for others to read; at most 64 bytes."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode()[:_LOCK_NOTE_BYTES_MAX], 0)

    def close(self) -> None:
        """Let go. May be called twice."""
        if self._fd >= 0:
            if os.getpid() == self._owner_pid:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def try_lock(path: Path) -> FileLock | None:
    """Take the exclusive lock on a file, which is made if needed; None if somebody holds it.

    Does not wait. The lock belongs to this open file: a second `try_lock` in the same process
    gets None too. The file itself stays, because removing it would let two in.

    Raises:
        OperationError: If the file cannot be opened (a link is refused).
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, PRIVATE_FILE_MODE)
    except OSError as exc:
        raise OperationError(
            f"lock file {path} cannot be opened: {exc.strerror}",
            hint=f"Check the permissions of {path.parent}.",
        ) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return FileLock(fd, path)


def lock_file(path: Path) -> FileLock:
    """Take the exclusive lock on a file and note this process in it, or refuse.

    Raises:
        AlreadyRunningError: If another process holds it; the message names its pid.
        OperationError: If the file cannot be opened.
    """
    lock = try_lock(path)
    if lock is None:
        raise AlreadyRunningError(
            f"{path} is held by process {_holder(path)}",
            hint="Only one may run on this folder: stop the other one first.",
        )
    lock.note(str(os.getpid()))
    return lock


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_LOCK_NOTE_BYTES_MAX] or "?"
    except OSError:
        return "?"


def _make_folder(path: Path) -> bool:
    try:
        path.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True)
    except FileExistsError:
        return False
    return True
