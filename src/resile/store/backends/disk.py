"""Every step by which a store in a folder changes the disk, so that tests can fail each of them."""

import os
from typing import Protocol

from resile.core.files import PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE, replace_at


class Disk(Protocol):
    """The steps. A crash may come between any two of them; names are relative to open folders.

    Every method raises OSError. Safe to share between threads.
    """

    def make_folder(self, name: str, *, folder_fd: int | None) -> None:
        """Make a private folder; nothing happens if the name is taken."""
        ...

    def create(self, name: str, *, folder_fd: int) -> int:
        """Make a new private file and give its descriptor; refuses what exists, links included."""
        ...

    def write(self, fd: int, data: memoryview) -> int:
        """Append; gives the count of bytes that were taken, which may be fewer than given."""
        ...

    def sync(self, fd: int) -> None:
        """Make a file's content durable, or a folder's entries."""
        ...

    def link(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Give a file a second name; raises FileExistsError if it is taken."""
        ...

    def replace(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Rename, over the target if there is one; atomic."""
        ...

    def remove(self, name: str, *, folder_fd: int) -> None:
        """Remove a name; raises FileNotFoundError if there is none."""
        ...


class SystemDisk:
    """The machine's own disk."""

    def make_folder(self, name: str, *, folder_fd: int | None) -> None:
        """Make a private folder."""
        try:
            os.mkdir(name, PRIVATE_FOLDER_MODE, dir_fd=folder_fd)
        except FileExistsError:
            return

    def create(self, name: str, *, folder_fd: int) -> int:
        """Make a new private file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, PRIVATE_FILE_MODE, dir_fd=folder_fd)

    def write(self, fd: int, data: memoryview) -> int:
        """Append what the kernel takes."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Make it durable."""
        os.fsync(fd)

    def link(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Give a file a second name."""
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)

    def replace(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Rename."""
        replace_at(source, target, source_fd=source_fd, target_fd=target_fd)

    def remove(self, name: str, *, folder_fd: int) -> None:
        """Remove a name."""
        os.unlink(name, dir_fd=folder_fd)


SYSTEM_DISK: Disk = SystemDisk()
