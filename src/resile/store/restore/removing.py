"""Removes trees of ours by open folders: never through a link, whatever their depth."""

import os
import stat

from resile.core.kernel import move
from resile.store.restore.folders import FOLDER_FLAGS, FOLDER_MODE, status_of

_OPEN_MAX = 100
"""Folders that are held open on the way down; what is deeper is moved up first."""


def remove_tree(folder_fd: int, name: bytes) -> None:
    """Remove an entry and all below it; none is fine.

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
        found = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in entries]
    is_emptied = True
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder_fd)
        elif depth == _OPEN_MAX:
            os.close(_open(folder_fd, name))
            move(folder_fd, name, top_fd, b".moved-" + os.urandom(8).hex().encode())
            is_emptied = False
        else:
            fd = _open(folder_fd, name)
            try:
                is_emptied &= _is_emptied(top_fd, fd, depth + 1)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=folder_fd)
    return is_emptied


def _open(folder_fd: int, name: bytes) -> int:
    """Open a folder, if need be after letting ourselves in: it is going to be removed."""
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    except PermissionError:
        os.chmod(name, FOLDER_MODE, dir_fd=folder_fd)
        return os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    if os.geteuid() != 0 and os.fstat(fd).st_mode & FOLDER_MODE != FOLDER_MODE:
        os.chmod(fd, FOLDER_MODE)  # noqa: PTH101 - a descriptor is no path
    return fd
