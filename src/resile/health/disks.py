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
        free_inodes: So many files an ordinary user can still make.
        usable_inodes: So many files ordinary users can have; 0 where the file system does not count them.
    """

    free_bytes: int
    usable_bytes: int
    free_inodes: int
    usable_inodes: int

    @property
    def is_out_of_inodes(self) -> bool:
        """Tell whether no file can be made, however much is free."""
        return bool(self.usable_inodes) and not self.free_inodes


def read_disk(path: str) -> DiskSpace:
    """Ask the file system of a path. Blocks as long as it does, which on a network may be long.

    Raises:
        OSError: If the path cannot be reached.
    """
    stat = os.statvfs(path)
    return DiskSpace(
        free_bytes=stat.f_bavail * stat.f_frsize,
        usable_bytes=(stat.f_blocks - stat.f_bfree + stat.f_bavail) * stat.f_frsize,
        free_inodes=stat.f_favail,
        usable_inodes=stat.f_files - stat.f_ffree + stat.f_favail if stat.f_files else 0,
    )
