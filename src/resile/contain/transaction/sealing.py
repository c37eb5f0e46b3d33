"""Turns what a command wrote into operations on the workspace, and says what stands against them.

One walk over the staged tree beside the workspace. What was written and is as before is dropped;
what only got other attributes is changed in place; a new folder is one operation with all that is
in it.
"""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from resile.contain.model import Change, ChangeKind
from resile.contain.transaction.bases import SINCE, Base
from resile.contain.transaction.changes import (
    HARDLINK_BROKEN,
    NOT_LISTED,
    capability_notes,
    change_of,
    compare_entries,
    deleted_inside,
    is_committable,
    link_target,
    new_inside,
)
from resile.contain.transaction.marks import Marks
from resile.contain.transaction.model import LinkSource, Operation, Sealed, Skipped
from resile.core.trees import status_of
from resile.store.writeahead.model import DEPTH_MAX, STAGE_PREFIX, KeptFolder, Metadata, type_name
from resile.store.writeahead.trees import (
    FILE_BITS,
    FOLDER_BITS,
    is_closed,
    names_in,
    open_folder,
    open_private_folder,
    read_attributes_signature,
    read_metadata,
    read_private_metadata,
    read_signature,
    too_deep,
)

INSIDE_MAX = 20_000
"""Changes listed inside of new and deleted folders; a package tree has as many files, and more
tell nobody anything."""


def seal_workspace(
    workspace: str, staged_fd: int, lower_fd: int, *, marks: Marks, base: Base, fault: str = ""
) -> Sealed:
    """Walk a staged tree.

    Args:
        workspace: Its name, for what is skipped.
        staged_fd: The upper folder, or the copy.
        lower_fd: The workspace.
        marks: How the staged tree is read.
        base: What was there at the beginning.
        fault: What stands against all of it.

    Raises:
        TransactionError: If it nests too deep, or uses an overlay feature that is refused.
        OSError: If something cannot be read.
    """
    walk = _Walk(workspace, marks, base)
    walk.root(staged_fd, lower_fd, fault)
    return walk.sealed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of the staged tree, and what the workspace has at its place.

    Args:
        path: Relative to the workspace.
        name: Its last part.
        staged_fd: Its folder in the staged tree.
        lower_fd: Its folder in the workspace.
        status: Of the staged entry; None: it is deleted.
        lower: Of the workspace's; None: there is nothing.
        fault: What somebody did to a folder above.
        depth: Folders above.
    """

    path: str
    name: str
    staged_fd: int
    lower_fd: int
    status: os.stat_result | None
    lower: os.stat_result | None
    fault: str
    depth: int


class _Walk:
    """The state of one walk. Not thread-safe."""

    def __init__(self, workspace: str, marks: Marks, base: Base) -> None:
        self._workspace = workspace
        self._marks = marks
        self._base = base
        self._operations: list[Operation] = []
        self._changes: list[Change] = []
        self._folders: dict[str, KeptFolder] = {}
        self._sources: dict[int, LinkSource] = {}
        self._skipped: list[Skipped] = []
        self._closed: dict[str, int] = {}
        self._inside_left = INSIDE_MAX

    def sealed(self) -> Sealed:
        """Give what was found."""
        above = {parent for o in self._operations for parent in parents_of(o.path)}
        return Sealed(
            operations=tuple(sorted(map(self._ungrouped, self._operations), key=_by_path)),
            changes=tuple(sorted(self._changes, key=_by_path)),
            folders=tuple(folder for path, folder in self._folders.items() if path in above),
            sources=tuple(self._sources.values()),
            skipped=tuple(self._skipped),
            closed=self._closed,
        )

    def root(self, staged_fd: int, lower_fd: int, fault: str) -> None:
        """Walk from the top."""
        top = _Entry(
            path=".",
            name=".",
            staged_fd=staged_fd,
            lower_fd=lower_fd,
            status=os.fstat(staged_fd),
            lower=os.fstat(lower_fd),
            fault=fault,
            depth=0,
        )
        self._attributes(top)
        self._folder(top, staged_fd, lower_fd)

    def _folder(self, here: _Entry, staged_fd: int, lower_fd: int) -> None:
        """Walk one folder that is kept; a fault of a folder above is one of all below it."""
        if here.depth > DEPTH_MAX:
            raise too_deep(here.path)
        lower = os.fstat(lower_fd)
        self._folders[here.path] = KeptFolder(
            path=here.path, inode=lower.st_ino, mode=stat.S_IMODE(lower.st_mode)
        )
        present = os.listdir(staged_fd)
        gone = set(self._marks.deleted_names(here.path, present))
        for name in sorted({*present, *gone}):
            is_gone = name in gone
            entry = _Entry(
                path=name if here.path == "." else f"{here.path}/{name}",
                name=name,
                staged_fd=staged_fd,
                lower_fd=lower_fd,
                status=None if is_gone else status_of(staged_fd, name),
                lower=status_of(lower_fd, name),
                fault=here.fault,
                depth=here.depth + 1,
            )
            self._entry(entry)

    def _entry(self, entry: _Entry) -> None:
        status = entry.status
        self._note_mode(entry.path, status)
        if entry.path.startswith(STAGE_PREFIX):
            self._skip(entry.path, "reserved_name")
        elif status is None or self._marks.is_deleted(entry.staged_fd, entry.name, status):
            self._deleted(replace(entry, status=None))
        elif not is_committable(status):
            self._skip(entry.path, type_name(status.st_mode))
        elif not stat.S_ISDIR(status.st_mode):
            self._file(entry, status)
        elif self._is_kept(entry, status):
            self._kept_folder(entry)
        else:
            self._new_folder(entry)

    def _deleted(self, entry: _Entry) -> None:
        lower = entry.lower
        fault = f"deleted {SINCE}" if lower is None else self._tree_fault(entry, lower)
        self._add(entry, ChangeKind.DELETED, fault)
        if lower is not None and stat.S_ISDIR(lower.st_mode):
            self._inside(deleted_inside(entry.path, entry.lower_fd, entry.name))

    def _is_kept(self, entry: _Entry, status: os.stat_result) -> bool:
        is_marked = self._marks.is_kept_folder(entry.path, entry.staged_fd, entry.name, status)
        return is_marked and entry.lower is not None and stat.S_ISDIR(entry.lower.st_mode)

    def _kept_folder(self, entry: _Entry) -> None:
        fault = entry.fault
        is_origin = self._marks.is_origin(entry.staged_fd, entry.name, entry.lower_fd)
        if not is_origin and entry.lower is not None:
            fault = fault or self._base.folder_fault(entry.path, entry.lower)
        entry = replace(entry, fault=fault)
        self._attributes(entry)
        with (
            open_private_folder(entry.staged_fd, entry.name) as staged_fd,
            open_folder(entry.lower_fd, entry.name) as lower_fd,
        ):
            self._folder(entry, staged_fd, lower_fd)

    def _attributes(self, entry: _Entry) -> None:
        """Compare the attributes of a folder that stays; its times change by themselves."""
        status, lower = entry.status, entry.lower
        if status is None or lower is None:
            return
        if self._marks.is_untouched(entry.path, entry.staged_fd, entry.name, status):
            return
        before = replace(read_metadata(entry.lower_fd, entry.name, lower), mtime_ns=None)
        after = read_private_metadata(entry.staged_fd, entry.name, status)
        after = replace(after, mtime_ns=None)
        if entry.path == "." and os.geteuid() != 0:
            after = replace(after, uid=before.uid, gid=before.gid)
        if before != after:
            fault = self._base.attributes_fault(entry.path, entry.lower_fd, entry.name, lower)
            self._add(entry, ChangeKind.METADATA, fault, before=before, after=after)

    def _new_folder(self, entry: _Entry) -> None:
        groups: set[int] = set()
        self._look_inside(entry.path, entry.staged_fd, entry.name, groups, entry.depth)
        kind = ChangeKind.CREATED if entry.lower is None else ChangeKind.REPLACED
        self._add(entry, kind, self._present_fault(entry), groups=groups)
        self._inside(new_inside(entry.path, entry.staged_fd, entry.name, entry.lower_fd))

    def _file(self, entry: _Entry, status: os.stat_result) -> None:
        if self._marks.is_untouched(entry.path, entry.staged_fd, entry.name, status):
            return
        lower = entry.lower
        kind = compare_entries(entry.staged_fd, entry.lower_fd, entry.name, status, lower)
        is_linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if kind is None:
            if is_linked:
                self._add_source(entry, status.st_ino)
            return
        notes = _broken(status, lower)
        before = after = None
        if kind is ChangeKind.METADATA and lower is not None and not is_linked and not notes:
            before = read_metadata(entry.lower_fd, entry.name, lower)
            after = read_private_metadata(entry.staged_fd, entry.name, status)
        groups = {status.st_ino} if is_linked else set()
        notes += capability_notes(kind, entry.staged_fd, entry.lower_fd, entry.name, status)
        fault = self._present_fault(entry)
        self._add(entry, kind, fault, groups=groups, before=before, after=after, notes=notes)

    def _present_fault(self, entry: _Entry) -> str:
        """Say what somebody did to the place where a command made or wrote something."""
        if entry.lower is not None:
            return self._tree_fault(entry, entry.lower)
        parent = entry.path.rpartition("/")[0] or "."
        return self._base.absence_fault(entry.path, parent, os.fstat(entry.lower_fd))

    def _tree_fault(self, entry: _Entry, lower: os.stat_result) -> str:
        """Say what somebody did to an entry of the workspace, or to anything below it."""
        fault = self._base.entry_fault(entry.path, lower)
        if fault or not stat.S_ISDIR(lower.st_mode):
            return fault
        return self._inside_fault(entry.path, entry.lower_fd, entry.name, entry.depth)

    def _inside_fault(self, path: str, folder_fd: int, name: str, depth: int) -> str:
        if depth > DEPTH_MAX:
            raise too_deep(path)
        with open_folder(folder_fd, name) as fd:
            present = names_in(fd)
            if missing := sorted(set(self._base.names(path)) - set(present)):
                return f"{path}/{missing[0]} deleted {SINCE}"
            for entry in present:
                below = f"{path}/{entry}"
                status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
                if fault := self._base.entry_fault(below, status):
                    return f"{below} {fault}"
                if stat.S_ISDIR(status.st_mode) and (
                    fault := self._inside_fault(below, fd, entry, depth + 1)
                ):
                    return fault
        return ""

    def _look_inside(
        self, path: str, folder_fd: int, name: str, groups: set[int], depth: int
    ) -> None:
        """Find files with several names, and what is skipped, in a new folder."""
        if depth > DEPTH_MAX:
            raise too_deep(path)
        with open_private_folder(folder_fd, name) as fd:
            for entry in sorted(os.listdir(fd)):  # noqa: PTH208 - a folder has no path here
                status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
                self._note_mode(f"{path}/{entry}", status)
                if stat.S_ISDIR(status.st_mode):
                    self._look_inside(f"{path}/{entry}", fd, entry, groups, depth + 1)
                elif self._marks.is_deleted(fd, entry, status):
                    continue
                elif not is_committable(status):
                    self._skip(f"{path}/{entry}", type_name(status.st_mode))
                elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                    groups.add(status.st_ino)

    def _add(
        self,
        entry: _Entry,
        kind: ChangeKind,
        fault: str,
        *,
        groups: Collection[int] = (),
        before: Metadata | None = None,
        after: Metadata | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Note one operation, and the change that it is for people."""
        there = entry.status or entry.lower
        if after is not None:
            base = read_attributes_signature(entry.lower_fd, entry.name)
        else:
            base = read_signature(entry.lower_fd, entry.name, is_deep=True)
        target = link_target(entry.staged_fd, entry.name, entry.status) if entry.status else ""
        self._operations.append(
            Operation(
                path=entry.path,
                kind=kind,
                file_type=type_name(there.st_mode) if there else "file",
                base=base,
                conflict=entry.fault or fault,
                groups=tuple(sorted(groups)),
                before=before,
                after=after,
            )
        )
        self._changes.append(
            change_of(entry.path, kind, entry.lower, entry.status, link_target=target, notes=notes)
        )

    def _inside(self, changes: Iterator[Change]) -> None:
        """Note what is inside of the folder that was noted last, as far as the limit goes."""
        for change in changes:
            if self._inside_left == 0:
                last = self._operations[-1].path
                self._changes = [
                    replace(c, notes=(*c.notes, NOT_LISTED)) if c.path == last else c
                    for c in self._changes
                ]
                return
            self._inside_left -= 1
            self._changes.append(change)

    def _add_source(self, entry: _Entry, group: int) -> None:
        """Note an unchanged file that got further names; only its owner may give it any."""
        base = read_signature(entry.lower_fd, entry.name)
        if base is not None and os.geteuid() in (0, base.uid):
            self._sources[group] = LinkSource(group=group, path=entry.path, base=base)

    def _ungrouped(self, operation: Operation) -> Operation:
        """Leave out groups that hang on a file that is there already: each name can go alone."""
        groups = tuple(g for g in operation.groups if g not in self._sources)
        return replace(operation, groups=groups)

    def _note_mode(self, path: str, status: os.stat_result | None) -> None:
        """Note the mode of what is opened for a while: a commit that dies meanwhile loses it."""
        if status is None:
            return
        bits = FOLDER_BITS if stat.S_ISDIR(status.st_mode) else FILE_BITS
        if is_closed(status.st_mode, bits):
            self._closed[path] = stat.S_IMODE(status.st_mode)

    def _skip(self, path: str, reason: str) -> None:
        self._skipped.append(Skipped(workspace=self._workspace, path=path, reason=reason))


def parents_of(path: str) -> list[str]:
    """Give the folders above a path, from the root (`.`) down; that of the root is itself."""
    parts = path.split("/")[:-1]
    return [".", *("/".join(parts[: end + 1]) for end in range(len(parts)))]


def _by_path(item: Operation | Change) -> list[str]:
    return item.path.split("/")


def _broken(status: os.stat_result, lower: os.stat_result | None) -> tuple[str, ...]:
    """Tell that other names of a file keep what it was."""
    if lower is None or not stat.S_ISREG(lower.st_mode) or lower.st_nlink < 2:
        return ()
    return (HARDLINK_BROKEN,) if status.st_nlink < lower.st_nlink else ()
