"""Builds what a commit puts into a workspace, in a private folder on its file system.

Every new entry gets a slot, whole new folders with all that is in them, and everything that it
will have in the end: then one rename makes it visible. Nothing of the workspace is changed yet.
"""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import replace

from resile.contain.transaction import _kernel
from resile.contain.transaction.changes import is_committable
from resile.contain.transaction.marks import Marks
from resile.contain.transaction.model import LinkSource, Operation
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import DEPTH_MAX, Metadata, difference
from resile.store.writeahead.steps import slot_name
from resile.store.writeahead.trees import (
    is_stuck,
    open_parent,
    open_private_file,
    open_private_folder,
    read_private_metadata,
    read_signature_like,
    too_deep,
)

_UNSYNCED_MAX = 64
"""Files that are written before they are synced together: the disk's journal then commits once
for many; each holds a descriptor."""
_NO_MORE_NAMES = {errno.EPERM, errno.EMLINK, errno.EXDEV}


class Stage:
    """Fills the stage of one workspace. Not thread-safe.

    Args:
        root_fd: The workspace.
        staged_fd: The upper folder, or the copy.
        stage_fd: The stage, empty.
        marks: How the staged tree is read.
        sources: Files of the workspace that get further names, by group.
        closed: The modes that entries of the staged tree were sealed with, where one may have lost
            it to a commit that died while it read the entry.
        files: The effects.
    """

    def __init__(
        self,
        *,
        root_fd: int,
        staged_fd: int,
        stage_fd: int,
        marks: Marks,
        sources: Mapping[int, LinkSource],
        closed: Mapping[str, int],
        files: TreeFiles,
    ) -> None:
        self._root_fd = root_fd
        self._staged_fd = staged_fd
        self._stage_fd = stage_fd
        self._marks = marks
        self._sources = sources
        self._closed = closed
        self._files = files
        self._paths: dict[str, str] = {}
        self._built: dict[int, str] = {}
        self._unsynced: list[int] = []
        self.conflicts: list[tuple[str, str]] = []
        """Files that should get further names, and were changed."""

    def build(self, number: int, operation: Operation) -> tuple[int, int | None]:
        """Build the entry of an operation in its slot.

        Returns:
            Its inode's number, and the mode that it gets in the end if it has to be opened now.

        Raises:
            OSError: If it could not be written.
            TransactionError: If it nests too deep.
        """
        slot = slot_name(number)
        self._paths[slot] = operation.path
        with open_parent(self._staged_fd, operation.path, is_private=True) as (fd, name):
            self._entry(fd, name, self._stage_fd, slot, place=slot, depth=0)
        status = os.stat(slot, dir_fd=self._stage_fd, follow_symlinks=False)
        if not is_stuck(status):
            return status.st_ino, None
        mode = stat.S_IMODE(status.st_mode)
        self._files.set_mode(self._stage_fd, slot, mode | stat.S_IWUSR)
        return status.st_ino, mode

    def sync(self) -> None:
        """Make all that was built durable."""
        self._sync_files()
        self._files.sync(self._stage_fd)

    def close(self) -> None:
        """Let go of what is open. May be called twice."""
        while self._unsynced:
            os.close(self._unsynced.pop())

    def _entry(
        self, source_fd: int, source: str, target_fd: int, target: str, *, place: str, depth: int
    ) -> None:
        status = os.stat(source, dir_fd=source_fd, follow_symlinks=False)
        metadata = read_private_metadata(source_fd, source, status)
        if (mode := self._closed.get(self._path_of(place))) is not None:
            metadata = replace(metadata, mode=mode)
        if stat.S_ISDIR(status.st_mode):
            self._folder(
                source_fd, source, target_fd, target, place=place, depth=depth, metadata=metadata
            )
            return
        if stat.S_ISREG(status.st_mode):
            self._file(
                source_fd, source, target_fd, target, place=place, status=status, metadata=metadata
            )
            return
        if stat.S_ISLNK(status.st_mode):
            self._files.make_link(os.readlink(source, dir_fd=source_fd), target_fd, target)
        else:
            self._files.make_fifo(target_fd, target)
        self._files.set_metadata(target_fd, target, metadata)

    def _path_of(self, place: str) -> str:
        """Tell what will be the path of an entry of the stage."""
        slot, slash, below = place.partition("/")
        return f"{self._paths[slot]}{slash}{below}"

    def _folder(
        self,
        source_fd: int,
        source: str,
        target_fd: int,
        target: str,
        *,
        place: str,
        depth: int,
        metadata: Metadata,
    ) -> None:
        if depth > DEPTH_MAX:
            raise too_deep(place)
        new_fd = self._files.make_folder(target_fd, target)
        try:
            with open_private_folder(source_fd, source) as old_fd:
                for name in sorted(os.listdir(old_fd)):  # noqa: PTH208 - it has no path here
                    status = os.stat(name, dir_fd=old_fd, follow_symlinks=False)
                    is_deleted = self._marks.is_deleted(old_fd, name, status)
                    if not is_deleted and is_committable(status):
                        below = f"{place}/{name}"
                        self._entry(old_fd, name, new_fd, name, place=below, depth=depth + 1)
            self._files.set_metadata(new_fd, ".", metadata)
            self._files.sync(new_fd)
        finally:
            os.close(new_fd)

    def _file(
        self,
        source_fd: int,
        source: str,
        target_fd: int,
        target: str,
        *,
        place: str,
        status: os.stat_result,
        metadata: Metadata,
    ) -> None:
        if status.st_nlink > 1 and self._add_name(status.st_ino, target_fd, target, place):
            return
        with open_private_file(source_fd, source) as fd:
            self._unsynced.append(self._files.copy_file(fd, target_fd, target))
        self._files.set_metadata(target_fd, target, metadata)
        if status.st_nlink > 1:
            self._built[status.st_ino] = place
        if len(self._unsynced) >= _UNSYNCED_MAX:
            self._sync_files()

    def _add_name(self, group: int, target_fd: int, target: str, place: str) -> bool:
        """Give a file that is there already a further name; False if there is none."""
        if group in self._built:
            with open_parent(self._stage_fd, self._built[group], is_private=True) as (fd, name):
                self._files.add_name(fd, name, target_fd, target)
            return True
        source = self._sources.get(group)
        if source is None:
            return False
        try:
            with open_parent(self._root_fd, source.path) as (fd, name):
                fault = difference(source.base, read_signature_like(fd, name, source.base))
                if not fault:
                    self._files.add_name(fd, name, target_fd, target)
        except (FileNotFoundError, NotADirectoryError):
            fault = "deleted"
        except OSError as exc:
            if exc.errno not in _NO_MORE_NAMES:
                raise
            return False
        if fault:
            self.conflicts.append((source.path, f"{fault} since the transaction was sealed"))
            return False
        self._built[group] = place
        return True

    def _sync_files(self) -> None:
        for fd in self._unsynced:
            _kernel.start_writing(fd)
        for fd in self._unsynced:
            self._files.sync(fd)
        self.close()
