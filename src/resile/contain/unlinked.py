"""Counts what processes still hold open in workspaces although it has no name there any more."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

LOOKED_AT_MAX: Final = 4096
"""Descriptors of one look: some 10 ms. A command needs more of them only to hide something, and
the limits of its processes and open files are what keeps it from that."""
_DELETED: Final = " (deleted)"


def unlinked_in(
    workspaces: Sequence[Path], pids: Iterable[int], *, looked_at_max: int = LOOKED_AT_MAX
) -> tuple[int, int]:
    """Tell what nameless files take: bytes on the disk, and how many there are.

    A file that several processes hold counts once. What is only mapped, its descriptor closed, is
    not seen.

    Args:
        workspaces: As the processes see them.
        pids: Those that run; what is gone meanwhile is passed over.
        looked_at_max: So many descriptors are looked at.
    """
    above = tuple(f"{workspace}/" for workspace in workspaces)
    found: dict[tuple[int, int], int] = {}
    for fd, name in islice(_descriptors(pids), looked_at_max) if above else ():
        with contextlib.suppress(OSError):
            target = os.readlink(name, dir_fd=fd)
            if target.endswith(_DELETED) and target.startswith(above):
                status = os.stat(name, dir_fd=fd)
                if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values()), len(found)


def _descriptors(pids: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Give each descriptor's entry: the open folder that it is in, and its name."""
    for pid in pids:
        with contextlib.suppress(OSError):
            folder_fd = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield from ((folder_fd, name) for name in os.listdir(folder_fd))  # noqa: PTH208 - not by path
            finally:
                os.close(folder_fd)
