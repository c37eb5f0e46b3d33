"""A store in a folder of this machine."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import StoreDamagedError
from resile.store.backends._folder import StoreFolder
from resile.store.backends._hold import take_hold
from resile.store.backends._opening import opened_file, opened_folder
from resile.store.backends._upload import TMP_FOLDER, LocalUpload, begin_upload
from resile.store.backends.disk import SYSTEM_DISK, Disk
from resile.store.backends.names import check_folder, is_name, split_name
from resile.store.backends.port import StoredFile

_READ_BYTES_MAX = 1 << 30
"""Linux reads at most 2 GiB at once."""
_SWEEP_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalBackend:
    """Files in a folder. Safe to share between threads, and between processes.

    Nothing is made before the first `begin`. Folders are 0700 and files 0600; no link inside of
    the folder is followed. An object stays with the folder that it saw first: when the disk is
    unmounted, nothing is written to what is below.

    Args:
        folder: Where it is, or will be.
        disk: What changes the disk; tests give one that fails.
        clock: Measures how long a hold is waited for.
        identity: The folder's device and inode, as `elsewhere` gave them: no other one is taken for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        disk: Disk = SYSTEM_DISK,
        clock: Clock = SYSTEM_CLOCK,
        identity: tuple[int, int] | None = None,
    ) -> None:
        self._folder = StoreFolder(folder.absolute(), disk, identity)
        self._disk = disk
        self._clock = clock

    def __repr__(self) -> str:
        return f"LocalBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The folder."""
        return str(self._folder.path)

    @property
    def is_read_back(self) -> bool:
        """A disk compares nothing."""
        return True

    def elsewhere(self) -> tuple[int, int] | None:
        """Give the folder's identity, for another process that opens it, too.

        None if no other process can: it has not been seen yet, or a disk of our own stands before it.
        """
        return self._folder.identity if self._disk is SYSTEM_DISK else None

    def begin(self) -> LocalUpload:
        """Begin a new file; makes the folder if this object has not seen it yet."""
        with self._folder.failing_as("no file could be begun"):
            return begin_upload(self._folder)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file, or a range of it.

        Raises:
            StoreDamagedError: Also if it is a link, or the disk fails in it.
            StoreError: If the store cannot be read.
        """
        folder, rest = split_name(name)
        with self._folder.failing_as(f"{name} could not be read"):
            try:
                with (
                    self._folder.opened() as root_fd,
                    opened_folder(root_fd, folder) as folder_fd,
                    opened_file(folder_fd, rest, name) as fd,
                ):
                    return _read_range(fd, offset, length)
            except FileNotFoundError as exc:
                raise StoreDamagedError(f"{name} is missing in {self.url}", name=name) from exc
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                raise StoreDamagedError(
                    f"{name} cannot be read from the disk of {self.url}: {exc.strerror}", name=name
                ) from exc

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List a folder as it is at this moment; what cannot be a file of a store is left out."""
        check_folder(folder)
        with self._folder.failing_as(f"{folder or 'the folder'} could not be listed"):
            try:
                with (
                    self._folder.opened() as root_fd,
                    opened_folder(root_fd, folder) as folder_fd,
                    os.scandir(folder_fd) as entries,
                ):
                    return iter([file for entry in entries if (file := _stored(folder, entry))])
            except FileNotFoundError:
                return iter(())

    def remove(self, name: str) -> None:
        """Remove a file; durable."""
        folder, rest = split_name(name)
        with self._folder.failing_as(f"{name} could not be removed"):
            try:
                with (
                    self._folder.opened() as root_fd,
                    opened_folder(root_fd, folder) as folder_fd,
                ):
                    self._disk.remove(rest, folder_fd=folder_fd)
                    self._disk.sync(folder_fd)
            except FileNotFoundError:
                return

    def copy(self, source: str, target: str) -> None:
        """Give a file a second name, by a link; durable."""
        self._name_anew(source, target, self._link_over, "copied")

    def move(self, source: str, target: str) -> None:
        """Give a file another name; durable."""
        self._name_anew(source, target, self._rename_over, "moved")

    @contextmanager
    def hold(self, *, is_exclusive: bool) -> Iterator[None]:
        """Lock the store's file `lock`; waits up to 10 s for others."""
        with (
            self._folder.failing_as("the store could not be locked"),
            self._folder.made("") as (root_fd, _),
        ):
            fd = take_hold(root_fd, is_exclusive=is_exclusive, clock=self._clock)
        try:
            yield
        finally:
            os.close(fd)

    def sweep(self) -> int:
        """Remove what is in `tmp/` and has no living writer."""
        with self._folder.failing_as("what was left half written could not be removed"):
            try:
                with (
                    self._folder.opened() as root_fd,
                    opened_folder(root_fd, TMP_FOLDER) as tmp_fd,
                ):
                    with os.scandir(tmp_fd) as entries:
                        names = [e.name for e in entries if e.is_file(follow_symlinks=False)]
                    return sum(self._is_swept(tmp_fd, name) for name in names)
            except FileNotFoundError:
                return 0

    def _name_anew(self, source: str, target: str, step: Callable[..., None], done: str) -> None:
        source_folder, source_rest = split_name(source)
        target_folder, target_rest = split_name(target)
        if source == target:
            return
        with self._folder.failing_as(f"{source} could not be {done} to {target}"):
            try:
                with (
                    self._folder.opened() as root_fd,
                    opened_folder(root_fd, source_folder) as source_fd,
                ):
                    os.stat(source_rest, dir_fd=source_fd, follow_symlinks=False)
                    with self._folder.made(target_folder) as (_, target_fd):
                        step(source_rest, target_rest, source_fd=source_fd, target_fd=target_fd)
                        self._disk.sync(target_fd)
                        self._disk.sync(source_fd)
            except FileNotFoundError:
                return

    def _link_over(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        try:
            self._disk.link(source, target, source_fd=source_fd, target_fd=target_fd)
        except FileExistsError:
            self._disk.remove(target, folder_fd=target_fd)
            self._disk.link(source, target, source_fd=source_fd, target_fd=target_fd)

    def _rename_over(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Rename; of two names of one file, rename(2) does nothing, so one of them is removed."""
        if _identity(source, source_fd) == _identity(target, target_fd):
            self._disk.remove(source, folder_fd=source_fd)
        else:
            self._disk.replace(source, target, source_fd=source_fd, target_fd=target_fd)

    def _is_swept(self, tmp_fd: int, name: str) -> bool:
        try:
            fd = os.open(name, _SWEEP_FLAGS, dir_fd=tmp_fd)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._disk.remove(name, folder_fd=tmp_fd)
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            os.close(fd)
        return True


def _identity(name: str, folder_fd: int) -> tuple[int, int] | None:
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _read_range(fd: int, offset: int, length: int | None) -> bytes:
    left = max(os.fstat(fd).st_size - offset, 0) if length is None else length
    parts = []
    while left > 0 and (part := os.pread(fd, min(left, _READ_BYTES_MAX), offset)):
        parts.append(part)
        offset += len(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _stored(folder: str, entry: "os.DirEntry[str]") -> StoredFile | None:
    """Describe an entry, a link too: whoever reads that one is told what is wrong with it."""
    name = f"{folder}/{entry.name}" if folder else entry.name
    if not is_name(name):
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    # The change time moves when the file gets its name, and unlike the other nobody can set it.
    return StoredFile(
        name=name,
        size_bytes=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_ctime, UTC),
    )
