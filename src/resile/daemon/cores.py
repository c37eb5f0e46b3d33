"""Core files: the one that a crash left, and its removal once nobody names it any more.

A core is known by its path, inode, size and time of change together. What somebody put in its
place, or made of it, is another file and stays.
"""

import contextlib
import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORE_AGE_S_MAX = 60.0
"""A core that is older belongs to an earlier crash."""
_ELF_TYPE_END = 18
"""The file's type is the half word at 16, in the byte order that byte 5 tells (1 is little)."""
_CORE_TYPES = {1: b"\4\0", 2: b"\0\4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFile:
    """One core file, told apart from every other that ever had its path.

    Args:
        path: Where it is; no part of it is a link.
        inode: Of the file.
        size_bytes: Its length; on the disk it is mostly smaller.
        modified_ns: When it was written, since the epoch.
    """

    path: str
    inode: int
    size_bytes: int
    modified_ns: int


def find_core(pattern: str, folder: Path, *, pid: int, now_s: float) -> CoreFile | None:
    """Find the core that a process left just now; None if there is none.

    Of several the one that is named after the process counts, else the newest. Only a regular
    file that begins as a core does is taken: `core.py` is somebody's work.

    Args:
        pattern: The kernel's core pattern.
        folder: Where the process ran.
        pid: Which process.
        now_s: The time, since the epoch.

    Source: core(5), elf(5)
    """
    fresh = [core for core in _named_so(pattern, folder) if _age_s(core, now_s) < CORE_AGE_S_MAX]
    fresh.sort(key=lambda core: (_is_named_after(core, pid), core.modified_ns), reverse=True)
    return next((core for core in fresh if _begins_as_core(core)), None)


def remove_core(core: CoreFile) -> int:
    """Remove a core, if its path still leads to this very file without a link; give the bytes freed.

    What cannot be removed stays.
    """
    path = Path(core.path)
    try:
        if path.parent.resolve() != path.parent:
            return 0
        status = path.lstat()
        if _core(path, status) != core:
            return 0
        path.unlink()
    except OSError:
        return 0
    return status.st_blocks * 512


def _named_so(pattern: str, folder: Path) -> Iterator[CoreFile]:
    """Give the regular files that the kernel may have named by its pattern."""
    top = Path("/") if pattern.startswith("/") else folder
    wildcards = re.sub(r"%.", "*", glob.escape(pattern.lstrip("/"))) + "*"
    for path in top.glob(re.sub(r"\*+", "*", wildcards)):  # Two stars would mean all folders below.
        with contextlib.suppress(OSError):  # It may go meanwhile, as everything in its folder.
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield _core(path.parent.resolve() / path.name, status)


def _core(path: Path, status: os.stat_result) -> CoreFile:
    return CoreFile(
        path=str(path),
        inode=status.st_ino,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def _age_s(core: CoreFile, now_s: float) -> float:
    return now_s - core.modified_ns / 1e9


def _is_named_after(core: CoreFile, pid: int) -> bool:
    return str(pid) in re.findall(r"\d+", Path(core.path).name)


def _begins_as_core(core: CoreFile) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(core.path, flags), "rb") as file:
            head = file.read(_ELF_TYPE_END)
    except OSError:
        return False
    is_elf = len(head) == _ELF_TYPE_END and head.startswith(b"\x7fELF")
    return is_elf and head[16:] == _CORE_TYPES.get(head[5])
