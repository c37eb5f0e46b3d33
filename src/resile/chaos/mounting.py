"""Lays a read-only view of a folder over it, in one step, and takes exactly that view away again.

Source: open_tree(2), mount_setattr(2), move_mount(2); umount(2).
"""

import ctypes
import os
import struct
from pathlib import Path
from typing import Final

from resile.core.trees import mount_of

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""The same on every kind of machine."""
_CLONE, _RECURSIVE, _EMPTY_PATH, _FROM_FD = 1, 0x8000, 0x1000, 4
_READ_ONLY: Final = 1
_ATTRIBUTES: Final = struct.Struct("<QQQQ")
_DETACH: Final = 2
_HERE: Final = -100


def cover(folder: Path) -> None:
    """Let a folder, and all below it, be read-only for whoever opens something from now on.

    Raises:
        OSError: If the kernel refuses.
    """
    view = open_view(folder)
    try:
        attributes = ctypes.create_string_buffer(_ATTRIBUTES.pack(_READ_ONLY, 0, 0, 0))
        flags = _EMPTY_PATH | _RECURSIVE
        _call(_MOUNT_SETATTR, view, b"", flags, attributes, _ATTRIBUTES.size)
        _call(_MOVE_MOUNT, view, b"", _HERE, os.fsencode(folder), _FROM_FD)
    finally:
        os.close(view)


def open_view(folder: Path) -> int:
    """Open a view of a folder that is mounted nowhere; it ends with its descriptor.

    Raises:
        OSError: If the kernel refuses.
    """
    flags = _CLONE | os.O_CLOEXEC | _RECURSIVE
    return _call(_OPEN_TREE, _HERE, os.fsencode(folder), flags)


def uncover(folder: Path, number: int) -> None:
    """Take a mount away, if it is the uppermost one on a folder.

    Args:
        folder: Where it is.
        number: Which, as the kernel counts them.

    Raises:
        OSError: If the kernel refuses.
    """
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if mount_of(fd) != number:
            return
        # By the descriptor: whoever takes it away before us leaves nothing here that we could hit.
        if _LIBC.umount2(f"/proc/self/fd/{fd}".encode(), _DETACH) != 0:
            raise _failure()
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    result = int(_LIBC.syscall(number, *arguments))
    if result < 0:
        raise _failure()
    return result


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
