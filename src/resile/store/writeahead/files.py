"""Every change that a transaction makes to a tree of files: the port that tests cut and fill.

Entries are named by an open folder and a name in it, so no link on the way is ever followed. Each
effect passes a `Gate` first: a test's gate ends the process's life there, or says that the disk
is full.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from resile.core import kernel
from resile.core.files import PRIVATE_FOLDER_MODE, SYSTEM_FILES, Files
from resile.core.trees import FOLDER_FLAGS, remove_tree
from resile.store.writeahead.gate import OPEN_GATE, Gate
from resile.store.writeahead.model import Metadata
from resile.store.writeahead.trees import copy_data, is_closed, open_entry, read_attributes

_PROBES = ("probe-1", "probe-2", "probe-3")
_ATTRIBUTE_BITS = stat.S_IRUSR | stat.S_IWUSR
"""What an owner needs to read and set attributes."""


class GatedFiles:
    """Durable writes whose steps pass a gate. Every method raises OSError."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def create(self, path: Path, data: bytes, *, mode: int) -> None:
        """Make a new file with this content, synced."""
        self._gate.before("create", path.name)
        SYSTEM_FILES.create(path, data, mode=mode)

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over the target if there is one."""
        self._gate.before("replace", target.name)
        SYSTEM_FILES.replace(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file if there is one."""
        self._gate.before("remove", path.name)
        SYSTEM_FILES.remove(path)

    def protect(self, path: Path) -> None:
        """Take everybody's permission to write away."""
        self._gate.before("protect", path.name)
        SYSTEM_FILES.protect(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries durable."""
        self._gate.before("sync_folder", folder.name)
        SYSTEM_FILES.sync_folder(folder)


class TreeFiles:
    """The effects on trees. Every method raises OSError. Safe to share between threads."""

    def __init__(self, gate: Gate = OPEN_GATE) -> None:
        self._gate = gate
        self.durable: Files = GatedFiles(gate)

    def make_folder(self, folder_fd: int, name: str) -> int:
        """Make a private folder and open it; the caller closes the descriptor."""
        self._gate.before("make_folder", name)
        os.mkdir(name, PRIVATE_FOLDER_MODE, dir_fd=folder_fd)
        return os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)

    def copy_file(self, source_fd: int, folder_fd: int, name: str) -> int:
        """Make a private file with a file's content, holes kept; the caller closes it.

        Blocks are shared where the file system can. Not synced.
        """
        self._gate.before("create_file", name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder_fd)
        try:
            self._gate.before("write", name)
            copy_data(source_fd, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def write_file(self, folder_fd: int, name: str, data: bytes, *, mode: int) -> int:
        """Make a file with this content and mode; the caller closes it. Not synced."""
        self._gate.before("create_file", name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder_fd)
        try:
            self._gate.before("write", name)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def make_link(self, target: str, folder_fd: int, name: str) -> None:
        """Make a symbolic link."""
        self._gate.before("make_link", name)
        os.symlink(target, name, dir_fd=folder_fd)

    def make_fifo(self, folder_fd: int, name: str) -> None:
        """Make a named pipe."""
        self._gate.before("make_fifo", name)
        os.mkfifo(name, 0o600, dir_fd=folder_fd)

    def add_name(self, source_fd: int, source: str, folder_fd: int, name: str) -> None:
        """Give a file a further name; a link is named, not followed."""
        self._gate.before("add_name", name)
        os.link(source, name, src_dir_fd=source_fd, dst_dir_fd=folder_fd, follow_symlinks=False)

    def set_metadata(self, folder_fd: int, name: str, metadata: Metadata) -> None:
        """Give an entry its owner, mode, attributes and time; what is so already is left alone."""
        self._gate.before("set_metadata", name)
        with open_entry(folder_fd, name) as (status, path):
            _set_metadata(path, status, metadata)

    def set_mode(self, folder_fd: int, name: str, mode: int) -> None:
        """Give an entry, which is no link, its permission bits."""
        self._gate.before("set_mode", name)
        with open_entry(folder_fd, name) as (_, path):
            os.chmod(path, mode)  # noqa: PTH101 - as the calls beside it

    def move(self, source_fd: int, source: str, target_fd: int, target: str) -> None:
        """Rename to where nothing is; atomic."""
        self._gate.before("move", target)
        kernel.move(source_fd, source, target_fd, target)

    def exchange(self, source_fd: int, source: str, target_fd: int, target: str) -> None:
        """Let two entries change places; atomic."""
        self._gate.before("exchange", target)
        kernel.exchange(source_fd, source, target_fd, target)

    def check_renames(self, folder_fd: int) -> None:
        """Make sure that `exchange` and `move` work in a folder of ours that is empty.

        EINVAL or ENOSYS: the kernel or the file system cannot do it.
        """
        self._gate.before("check_renames", "")
        for name in _PROBES[:2]:
            os.mkdir(name, PRIVATE_FOLDER_MODE, dir_fd=folder_fd)
        kernel.exchange(folder_fd, _PROBES[0], folder_fd, _PROBES[1])
        kernel.move(folder_fd, _PROBES[1], folder_fd, _PROBES[2])
        for name in _PROBES[::2]:
            os.rmdir(name, dir_fd=folder_fd)

    def sync(self, fd: int) -> None:
        """Make a file's content, or a folder's entries, durable."""
        self._gate.before("sync", "")
        os.fsync(fd)

    def sync_file_system(self, fd: int) -> None:
        """Make all that was written to a file system durable."""
        self._gate.before("sync_file_system", "")
        kernel.sync_file_system(fd)

    def remove_tree(self, folder_fd: int, name: str) -> None:
        """Remove an entry and all below it, whatever its depth and modes; none is fine."""
        self._gate.before("remove_tree", name)
        remove_tree(folder_fd, name)


def _set_metadata(path: str, status: os.stat_result, metadata: Metadata) -> None:
    """Bring an inode to its metadata; owner first, because chown takes bits and capabilities.

    Attributes can only be set while the mode lets us: one that does not is given last.
    """
    if (status.st_uid, status.st_gid) != (metadata.uid, metadata.gid):
        os.chown(path, metadata.uid, metadata.gid)
    mode = metadata.mode
    if is_closed(mode, _ATTRIBUTE_BITS):
        mode |= _ATTRIBUTE_BITS
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, mode)  # noqa: PTH101 - as the calls beside it
    _set_attributes(path, metadata.attributes)
    if mode != metadata.mode and not stat.S_ISLNK(status.st_mode):
        os.chmod(path, metadata.mode)  # noqa: PTH101 - as the calls beside it
    if metadata.mtime_ns is not None:
        os.utime(path, ns=(metadata.mtime_ns, metadata.mtime_ns))


def _set_attributes(path: str, wanted: Mapping[str, str]) -> None:
    now = read_attributes(path)
    for name in now.keys() - wanted.keys():
        os.removexattr(path, name)
    for name, value in wanted.items():
        if now.get(name) != value:
            os.setxattr(path, name, bytes.fromhex(value))
