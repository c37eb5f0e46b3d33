"""Carries out a commit's log, or takes it back; both can be done again from any point.

Whether a step was done is read from the stage: a slot that holds the new entry waits, one that
holds what was there before is done. Right before each rename the target's signature is compared
once more, and right after it what came into the stage is: whoever slipped in between is seen, and
gets everything back.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from resile.contain.transaction.wal import CommitLog, shared_inodes
from resile.core.trees import status_of
from resile.errors import TransactionError
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import KeptFolder, Signature, difference
from resile.store.writeahead.steps import (
    Step,
    StepKind,
    as_it_was,
    do_rename,
    is_done,
    is_target_ours,
    undo_rename,
)
from resile.store.writeahead.trees import (
    is_closed,
    open_file,
    open_parent,
    read_attributes_signature,
    read_signature,
    read_signature_like,
)

SINCE_SEALED = "since the transaction was sealed"
_RIGHTS = 0o777
"""A change of owner takes the other bits; an ordinary user's own rights are ours to open."""


class StepConflict(Exception):  # noqa: N818 - it never leaves this package
    """What a step is about was changed."""

    def __init__(self, step: Step, fault: str) -> None:
        super().__init__(step.path, fault)
        self.workspace = step.workspace
        self.path = step.path
        self.fault = fault


class Applier:
    """Works on the steps of one log. Not thread-safe.

    Args:
        log: The steps.
        root_fds: The workspaces, by number.
        stage_fds: Their stages; -1 for those that have none.
        files: The effects.
    """

    def __init__(
        self,
        log: CommitLog,
        *,
        root_fds: Sequence[int],
        stage_fds: Sequence[int],
        files: TreeFiles,
    ) -> None:
        self._log = log
        self._root_fds = root_fds
        self._stage_fds = stage_fds
        self._files = files
        self._shared = shared_inodes(log.steps)
        self._brought: list[set[str]] = [set() for _ in root_fds]
        self._opened: set[tuple[int, str]] = set()
        self._folders = [{f.path: f.inode for f in folders} for folders in log.folders]

    def conflicts(self) -> list[tuple[int, str, str]]:
        """List the targets that are not what they should be: workspace, path, what happened."""
        found = [(step.workspace, step.path, self._fault(step)) for step in self._log.steps]
        return [conflict for conflict in found if conflict[2]]

    def apply(self, *, is_replay: bool = False) -> None:
        """Do each step that is not done, then make all of it durable.

        Args:
            is_replay: It may have been done in part before.

        Raises:
            StepConflict: If a target was changed; the steps before it are done.
            OSError: If a step failed.
        """
        self._open_folders()
        closing = [step for step in reversed(self._log.steps) if _closes(step)]
        for step in self._log.steps:
            if step in closing:
                continue
            if step.kind is StepKind.ATTRIBUTES:
                self._bring_attributes(step, is_replay=is_replay)
            elif not is_done(step, self._stage_fds[step.workspace]):
                if fault := self._fault(step, is_replay=is_replay):
                    raise StepConflict(step, fault)
                self._do(step)
        for step in self._log.steps:
            if step.final_mode is not None:
                self._settle(step, step.staged_inode, step.final_mode)
        self._close_folders()
        self._sync()
        for step in closing:
            self._bring_attributes(step, is_replay=is_replay)
            self._sync_entry(step)

    def undo(self, *, is_replay: bool = False) -> None:
        """Take each step that is done back, the last one first, then make all of it durable.

        Args:
            is_replay: The steps were done by a process that is gone.

        Raises:
            TransactionError: If somebody changed what a step put there; nothing is taken back.
            OSError: If a step failed.
        """
        self._open_folders()
        done = [
            step
            for step in reversed(self._log.steps)
            if (
                self._is_brought(step, is_replay=is_replay)
                if step.kind is StepKind.ATTRIBUTES
                else is_done(step, self._stage_fds[step.workspace])
            )
        ]
        if hindered := [step.path for step in done if not self._is_reversible(step)]:
            self._close_folders()
            raise TransactionError(
                f"the commit cannot be undone: {hindered[0]} was changed since"
                + (f", and {len(hindered) - 1} more" if len(hindered) > 1 else ""),
                hint="Finish it instead: resile recover. Both versions are kept until then.",
            )
        for step in sorted(done, key=lambda step: step.kind is StepKind.ATTRIBUTES):
            self._undo(step)
        for step in self._log.steps:
            if step.slot and step.base is not None and step.base.is_folder:
                self._settle(step, step.base.inode, stat.S_IMODE(step.base.mode))
        self._close_folders()
        self._sync()

    def _is_brought(self, step: Step, *, is_replay: bool) -> bool:
        """Tell whether attributes may be ours; what somebody else gave is left alone."""
        if not is_replay:
            return step.path in self._brought[step.workspace]
        try:
            return self._attributes_fault(step) == ""
        except StepConflict:
            return False

    def _open_folders(self) -> None:
        """Let their owner into folders that he may not write or enter, for as long as this takes.

        Those above come first.
        """
        for number, folder in self._closed_folders():
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                open_parent(self._root_fds[number], folder.path) as (fd, name),
            ):
                status = status_of(fd, name)
                if status is not None and status.st_ino == folder.inode:
                    self._opened.add((number, folder.path))
                    if is_closed(status.st_mode, stat.S_IRWXU):
                        mode = stat.S_IMODE(status.st_mode) | stat.S_IRWXU
                        self._files.set_mode(fd, name, mode)

    def _close_folders(self) -> None:
        """Take that back; those that got attributes of their own have them."""
        given = {(s.workspace, s.path) for s in self._log.steps if s.kind is StepKind.ATTRIBUTES}
        for number, folder in self._closed_folders():
            if (number, folder.path) in given:
                continue
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                open_parent(self._root_fds[number], folder.path) as (fd, name),
            ):
                if _is_inode(fd, name, folder.inode, mode=folder.mode | stat.S_IRWXU):
                    self._files.set_mode(fd, name, folder.mode)

    def _closed_folders(self) -> Iterator[tuple[int, KeptFolder]]:
        closing = {(s.workspace, s.path) for s in self._log.steps if _closes(s)}
        for number, folders in enumerate(self._log.folders):
            for folder in folders:
                if (number, folder.path) in closing or is_closed(folder.mode, stat.S_IRWXU):
                    yield number, folder

    def _settle(self, step: Step, inode: int, mode: int) -> None:
        """Take back that a folder was opened for its owner so that it could be moved."""
        with self._target(step) as (fd, name):
            is_opened = _is_inode(fd, name, inode, mode=mode | stat.S_IWUSR)
            if is_opened and not mode & stat.S_IWUSR:
                self._files.set_mode(fd, name, mode)

    def _fault(self, step: Step, *, is_replay: bool = False) -> str:
        """Say how a target differs from what should be there before its step."""
        try:
            with self._target(step) as (fd, name):
                now = _now(step, fd, name)
        except StepConflict as exc:
            return exc.fault
        if is_replay or (step.workspace, step.path) in self._opened:
            now = as_it_was(step, now)
        is_moved = step.base is not None and step.base.inode in self._shared
        fault = difference(step.base, now, is_moved=is_moved)
        return f"{fault} {SINCE_SEALED}" if fault else ""

    def _do(self, step: Step) -> None:
        stage_fd = self._stage_fds[step.workspace]
        with self._target(step) as (fd, name):
            fault = do_rename(step, self._files, stage_fd, fd, name)
        if fault:
            raise StepConflict(step, f"{fault} {SINCE_SEALED}")

    def _is_reversible(self, step: Step) -> bool:
        try:
            with self._target(step) as (fd, name):
                return is_target_ours(step, fd, name)
        except StepConflict:
            return False

    def _undo(self, step: Step) -> None:
        with self._target(step) as (fd, name):
            if step.kind is not StepKind.ATTRIBUTES:
                undo_rename(step, self._files, self._stage_fds[step.workspace], fd, name)
            elif step.before is not None:
                self._files.set_metadata(fd, name, step.before)

    def _bring_attributes(self, step: Step, *, is_replay: bool) -> None:
        fault = self._attributes_fault(step) if is_replay else self._fault(step)
        if fault:
            raise StepConflict(step, fault)
        if step.after is None:
            raise AssertionError(f"step {step.path} has no attributes")
        with self._target(step) as (fd, name):
            self._brought[step.workspace].add(step.path)
            self._files.set_metadata(fd, name, step.after)

    def _attributes_fault(self, step: Step) -> str:
        """As `_fault`, where some of the attributes may have been brought already."""
        base, after = step.base, step.after
        with self._target(step) as (fd, name):
            now = read_signature(fd, name)
        if base is None or after is None or now is None or now.inode != base.inode:
            return f"replaced {SINCE_SEALED}"
        rights = _RIGHTS if os.geteuid() == 0 else _RIGHTS & ~stat.S_IRWXU
        is_ours = (
            now.size == base.size
            and now.mtime_ns in (base.mtime_ns, after.mtime_ns)
            and now.mode & rights in (base.mode & rights, after.mode & rights)
            and now.uid in (base.uid, after.uid)
            and now.gid in (base.gid, after.gid)
        )
        return "" if is_ours else f"changed {SINCE_SEALED}"

    @contextlib.contextmanager
    def _target(self, step: Step) -> Iterator[tuple[int, str]]:
        """Open the folder of a step's target, and hold it to be the one that it was."""
        parent = step.path.rpartition("/")[0] or "."
        inode = self._folders[step.workspace].get(parent)
        with contextlib.ExitStack() as stack:
            try:
                fd, name = stack.enter_context(
                    open_parent(self._root_fds[step.workspace], step.path)
                )
            except (FileNotFoundError, NotADirectoryError) as exc:
                raise StepConflict(step, f"its folder was deleted {SINCE_SEALED}") from exc
            except OSError as exc:
                if exc.errno != errno.ELOOP:
                    raise
                raise StepConflict(step, f"its folder was replaced {SINCE_SEALED}") from exc
            if os.fstat(fd).st_ino != inode:
                raise StepConflict(step, f"its folder was replaced {SINCE_SEALED}")
            yield fd, name

    def _sync(self) -> None:
        """Make the folders that were touched durable, and the files whose attributes were."""
        synced: set[tuple[int, str]] = set()
        for step in self._log.steps:
            parent = step.path.rpartition("/")[0] or "."
            if (step.workspace, parent) not in synced:
                synced.add((step.workspace, parent))
                with self._target(step) as (fd, _):
                    self._files.sync(fd)
            if step.kind is StepKind.ATTRIBUTES:
                self._sync_entry(step)
        for number in sorted({workspace for workspace, _ in synced}):
            if self._stage_fds[number] >= 0:
                self._files.sync(self._stage_fds[number])

    def _sync_entry(self, step: Step) -> None:
        """Make attributes durable; of what cannot be opened, by syncing its file system."""
        root_fd = self._root_fds[step.workspace]
        with self._target(step) as (fd, name):
            try:
                with open_file(fd, name) as entry_fd:
                    self._files.sync(entry_fd)
            except OSError as exc:
                if exc.errno not in (errno.EACCES, errno.ELOOP, errno.EINVAL):
                    raise
                self._files.sync_file_system(root_fd)


def _now(step: Step, fd: int, name: str) -> Signature | None:
    """Take a target's signature as its base was taken."""
    if step.kind is StepKind.ATTRIBUTES:
        return read_attributes_signature(fd, name)
    return read_signature_like(fd, name, step.base)


def _closes(step: Step) -> bool:
    """Tell whether a step takes from a folder's owner what it needs to work on what is inside."""
    if step.kind is not StepKind.ATTRIBUTES or step.base is None or step.after is None:
        return False
    return step.base.is_folder and step.after.mode & stat.S_IRWXU != stat.S_IRWXU


def _is_inode(fd: int, name: str, inode: int, *, mode: int | None = None) -> bool:
    """Tell whether an entry is this inode, with this mode if one is named."""
    status = status_of(fd, name)
    if status is None or status.st_ino != inode:
        return False
    return mode is None or stat.S_IMODE(status.st_mode) == mode
