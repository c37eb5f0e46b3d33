"""System calls that Python does not have: renameat2 and syncfs.

Everything that only replaces a file uses `core.files`; these are for what swaps whole trees.
"""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


def move(source_fd: int, source: str | bytes, target_fd: int, target: str | bytes) -> None:
    """Rename an entry to a place where nothing is; atomic.

    Raises:
        FileExistsError: If something is there.
        OSError: EINVAL where the file system cannot promise that; and as rename(2).
    """
    _rename(source_fd, source, target_fd, target, _RENAME_NOREPLACE)


def exchange(source_fd: int, source: str | bytes, target_fd: int, target: str | bytes) -> None:
    """Let two entries change places, whatever their kinds; atomic.

    Raises:
        OSError: EINVAL where the file system cannot do that; and as rename(2).
    """
    _rename(source_fd, source, target_fd, target, _RENAME_EXCHANGE)


def sync_file_system(fd: int) -> None:
    """Make all that was written to the file system of an open file durable.

    Raises:
        OSError: If the disk refuses.
    """
    if _LIBC.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _rename(
    source_fd: int, source: str | bytes, target_fd: int, target: str | bytes, flags: int
) -> None:
    done = _LIBC.renameat2(
        source_fd, os.fsencode(source), target_fd, os.fsencode(target), ctypes.c_uint(flags)
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)
