"""Read what a file system has free, for ordinary users.

Source: statvfs(3), df(1).
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """What a file system has free.

    Args:
        free_bytes: What an ordinary user can still write.
        usable_bytes: What ordinary users share, used or not; the base of a share, as df(1) counts.
        is_out_of_inodes: No file can be made, however much is free.
    """

    free_bytes: int
    usable_bytes: int
    is_out_of_inodes: bool


def read_disk(path: str) -> DiskSpace:
    """Ask the file system of a path. Blocks as long as it does, which on a network may be long.

    Raises:
        OSError: If the path cannot be reached.
    """
    stat = os.statvfs(path)
    return DiskSpace(
        free_bytes=stat.f_bavail * stat.f_frsize,
        usable_bytes=(stat.f_blocks - stat.f_bfree + stat.f_bavail) * stat.f_frsize,
        is_out_of_inodes=bool(stat.f_files) and not stat.f_favail,
    )
