"""Folders that are held open: what is in them, and removing trees, never through a link."""

import os
import stat
from pathlib import Path

from resile.core.files import PRIVATE_FOLDER_MODE

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_MAX = 100
"""Folders that are held open on the way down; what is deeper is moved up first."""


def status_of(folder_fd: int, name: str | bytes) -> os.stat_result | None:
    """Give the status of an entry, links not followed; None if there is none."""
    try:
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def mount_of(fd: int) -> int:
    """Give the number of the mount that an open file is on, as the kernel counts them.

    Source: proc_pid_fdinfo(5).

    Raises:
        OSError: If there is no /proc.
    """
    words = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii").split()
    return int(words[words.index("mnt_id:") + 1])


def remove_tree(folder_fd: int, name: str | bytes) -> None:
    """Remove an entry of ours and all below it, whatever its depth and modes; none is fine.

    Raises:
        OSError: If something of it cannot be removed.
    """
    status = status_of(folder_fd, name)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=folder_fd)
        return
    fd = _open(folder_fd, name)
    try:
        while not _is_emptied(fd, fd, 0):
            pass
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder_fd)


def _is_emptied(top_fd: int, folder_fd: int, depth: int) -> bool:
    """Remove what is in a folder; tell whether nothing was moved up, which wants another round."""
    with os.scandir(folder_fd) as entries:
        found = [(one.name, one.is_dir(follow_symlinks=False)) for one in entries]
    is_emptied = True
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder_fd)
        elif depth == _OPEN_MAX:
            os.close(_open(folder_fd, name))
            from resile.core.kernel import move  # It loads ctypes, for what hardly ever comes.

            move(folder_fd, name, top_fd, f".moved-{os.urandom(8).hex()}")
            is_emptied = False
        else:
            fd = _open(folder_fd, name)
            try:
                is_emptied &= _is_emptied(top_fd, fd, depth + 1)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=folder_fd)
    return is_emptied


def _open(folder_fd: int, name: str | bytes) -> int:
    """Open a folder, if need be after letting ourselves in: it is going to be removed."""
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    except PermissionError:
        os.chmod(name, PRIVATE_FOLDER_MODE, dir_fd=folder_fd)
        return os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    if os.geteuid() != 0 and os.fstat(fd).st_mode & PRIVATE_FOLDER_MODE != PRIVATE_FOLDER_MODE:
        os.chmod(fd, PRIVATE_FOLDER_MODE)  # noqa: PTH101 - a descriptor is no path
    return fd
