"""Write a new file of a local store: without a name until it is whole and durable."""

import errno
import fcntl
import os
from contextlib import suppress

from resile.errors import StoreError
from resile.store.backends._failures import store_error
from resile.store.backends._folder import StoreFolder
from resile.store.backends.names import split_name

TMP_FOLDER = "tmp"
_BUFFER_BYTES_MAX = 1 << 20
"""Fewer and larger writes; more would not be quicker."""
_TRIES_MAX = 20
"""Each is lost only to a sweep that meets the new file in the instant before it is locked."""
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))


def begin_upload(folder: StoreFolder) -> "LocalUpload":
    """Make a file in `tmp/` and lock it, which tells a sweep that its writer lives.

    Raises:
        OSError: If it cannot be made.
    """
    with folder.made(TMP_FOLDER) as (_, tmp_fd):
        for _ in range(_TRIES_MAX):
            name = os.urandom(16).hex()
            fd = folder.disk.create(name, folder_fd=tmp_fd)
            if _is_locked(fd):
                return LocalUpload(folder, fd, name)
            os.close(fd)
    raise OSError(errno.EBUSY, "every new file was swept away at once")


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        os.close(fd)
        raise
    return os.fstat(fd).st_nlink > 0


class LocalUpload:
    """A file in `tmp/` that this process writes. Not thread-safe.

    After any failure it is dead: an fsync that failed may have thrown the data away, so that a
    second one would succeed for nothing.

    Source: https://wiki.postgresql.org/wiki/Fsync_Errors
    """

    def __init__(self, folder: StoreFolder, fd: int, tmp_name: str) -> None:
        self._folder = folder
        self._disk = folder.disk
        self._fd = fd
        self._tmp_name = tmp_name
        self._buffer = bytearray()
        self._size_bytes = 0
        self._error: StoreError | None = None

    def write(self, data: bytes) -> None:
        """Append."""
        self._check_alive()
        try:
            if len(self._buffer) + len(data) < _BUFFER_BYTES_MAX:
                self._buffer += data
            else:
                self._flush()
                self._write_all(data)
        except OSError as exc:
            raise self._fail("a file could not be written", exc) from exc

    def publish(self, name: str) -> bool:
        """Give it a name, durable; False if it was taken."""
        self._check_alive()
        folder, rest = split_name(name)
        try:
            self._flush()
            self._check_size()
            self._disk.sync(self._fd)
            is_new = self._link(folder, rest)
        except OSError as exc:
            raise self._fail(f"{name} could not be written", exc) from exc
        self.abandon()
        return is_new

    def abandon(self) -> None:
        """Throw it away."""
        if self._fd < 0:
            return
        try:
            # What cannot be removed now is left for a sweep.
            with (
                suppress(OSError, StoreError),
                self._folder.made(TMP_FOLDER) as (_, tmp_fd),
            ):
                self._disk.remove(self._tmp_name, folder_fd=tmp_fd)
        finally:
            os.close(self._fd)
            self._fd = -1
            self._buffer.clear()

    def _check_alive(self) -> None:
        if self._error:
            raise self._error
        if self._fd < 0:
            raise AssertionError("the upload has ended")

    def _flush(self) -> None:
        self._write_all(self._buffer)
        self._buffer.clear()

    def _write_all(self, data: bytes | bytearray) -> None:
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                with view[done:] as rest:
                    count = self._disk.write(self._fd, rest)
                if not 0 < count <= len(view) - done:
                    raise OSError(errno.EIO, f"the disk took {count} bytes of {len(view) - done}")
                done += count
        self._size_bytes += len(data)

    def _check_size(self) -> None:
        size_bytes = os.fstat(self._fd).st_size
        if size_bytes != self._size_bytes:
            raise OSError(errno.EIO, f"the disk kept {size_bytes} bytes of {self._size_bytes}")

    def _link(self, folder: str, rest: str) -> bool:
        """Give the file its name. If it is taken, what has it is made as durable as ours is."""
        with (
            self._folder.made(folder) as (_, target_fd),
            self._folder.made(TMP_FOLDER) as (_, tmp_fd),
        ):
            is_new = True
            try:
                self._disk.link(self._tmp_name, rest, source_fd=tmp_fd, target_fd=target_fd)
            except FileExistsError:
                is_new = False
            except OSError as exc:
                if exc.errno in _NO_LINKS:
                    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP)) from exc
                raise
            self._disk.sync(target_fd)
            return is_new

    def _fail(self, what: str, error: OSError) -> StoreError:
        self._error = store_error(f"{self._folder.path}: {what}", error)
        self.abandon()
        return self._error
