"""Open the folders and files of a store without ever following a link inside of it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resile.errors import StoreDamagedError

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: a fifo that somebody put there must not make a reader wait for ever."""


@contextmanager
def opened_root(path: Path) -> Iterator[int]:
    """Open the store's folder; links on the way to it are the user's own and are followed.

    Raises:
        OSError: If it cannot be opened.
    """
    fd = os.open(path, _FOLDER_FLAGS)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def opened_folder(root_fd: int, name: str) -> Iterator[int]:
    """Open a folder of the store; `""` is the store itself.

    Raises:
        FileNotFoundError: If there is none.
        StoreDamagedError: If it is a link, or no folder.
        OSError: If it cannot be opened.
    """
    if not name:
        yield root_fd
        return
    try:
        fd = os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=root_fd)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StoreDamagedError(
                f"{name} in the store is a link or no folder", name=name
            ) from exc
        raise
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def opened_file(folder_fd: int, rest: str, name: str) -> Iterator[int]:
    """Open a file of a folder for reading.

    Args:
        folder_fd: The folder.
        rest: Its name there.
        name: Its whole name, for errors.

    Raises:
        FileNotFoundError: If there is none.
        StoreDamagedError: If it is a link, a folder, or anything else but a file.
        OSError: If it cannot be opened.
    """
    try:
        fd = os.open(rest, _FILE_FLAGS, dir_fd=folder_fd)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_a_file(name) from exc
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _not_a_file(name)
        yield fd
    finally:
        os.close(fd)


def _not_a_file(name: str) -> StoreDamagedError:
    return StoreDamagedError(f"{name} in the store is a link or no file", name=name)
