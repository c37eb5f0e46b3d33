"""Does the logged operations of transactions, and takes them back; each can be done again.

Right before a rename the target is compared with what the log says should be there, and right
after it what came into the stage is. What somebody else has changed since is never taken back.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from resile.core.trees import status_of
from resile.errors import ConflictError, TransactionError
from resile.store.transactions.ledger import Book, folders_above
from resile.store.transactions.model import REMOVALS, LoggedOperation, OperationKind
from resile.store.transactions.staging import redo_has_content
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import difference
from resile.store.writeahead.steps import (
    StepKind,
    do_rename,
    is_done,
    is_target_ours,
    undo_rename,
)
from resile.store.writeahead.trees import open_file, open_folder, open_parent, read_signature_like

_SYNCED_ONE_BY_ONE_MAX = 32
"""More files or folders are made durable by syncing their file system once."""

_OPEN_FOLDERS_MAX = 64
"""The usual limit of a process is 1024 descriptors."""

Item = tuple[Book, LoggedOperation]


class Renaming:
    """Works on one folder. Safe to share between threads that share no transaction.

    Args:
        root_fd: The folder.
        files: The effects.
    """

    def __init__(self, *, root_fd: int, files: TreeFiles) -> None:
        self._root_fd = root_fd
        self._files = files

    def do(self, book: Book, operations: Sequence[LoggedOperation]) -> None:
        """Do operations in their order.

        Raises:
            ConflictError: If somebody else did something to a path; those before it are done.
            OSError: If one failed; it is done whole or not at all.
        """
        with _Folders(self._root_fd) as folders:
            for operation in operations:
                if fault := self._do(folders, book, operation):
                    raise conflict([(operation.path, f"{fault} meanwhile")])

    def undo(self, items: Sequence[Item]) -> tuple[str, ...]:
        """Take operations back that were done, the last one first, and make that durable.

        Args:
            items: In the order in which they were done.

        Returns:
            Folders that stay, because somebody else has put something there.

        Raises:
            ConflictError: If somebody else has changed what one of them put there; nothing is taken back,
                unless it happened in this very moment.
            OSError: If something failed; what is taken back stays so.
        """
        done = [item for item in reversed(items) if is_done(item[1].step, item[0].stage_fd)]
        with _Folders(self._root_fd) as folders:
            if hindered := self._hindered(folders, done):
                raise conflict(hindered)
            kept = tuple(path for item in done if (path := self._undo(folders, *item)))
        self.sync([operation for _, operation in done], has_contents=False)
        for book in {book.number: book for book, _ in done}.values():
            self._files.sync(book.stage_fd)
        return kept

    def hindered(self, done: Sequence[Item]) -> list[tuple[str, str]]:
        """List the paths of which an operation cannot be taken back, and why.

        Args:
            done: The last one first. Only the last one of each path is still to be seen there.
        """
        with _Folders(self._root_fd) as folders:
            return self._hindered(folders, done)

    def sync(self, operations: Sequence[LoggedOperation], *, has_contents: bool) -> None:
        """Make what operations did durable: names, and contents if asked for.

        Raises:
            OSError: If the disk refuses.
        """
        folders = {operation.path.rpartition("/")[0]: operation for operation in operations}
        written = {o.path: o for o in operations if o.kind not in REMOVALS}
        count = len(folders) + (len(written) if has_contents else 0)
        if count > _SYNCED_ONE_BY_ONE_MAX:
            self._files.sync_file_system(self._root_fd)
            return
        with _Folders(self._root_fd) as all_folders:
            for operation in written.values() if has_contents else ():
                with contextlib.suppress(_FolderGoneError):
                    self._sync_entry(*all_folders.open(operation))
            for operation in folders.values():
                with contextlib.suppress(_FolderGoneError):
                    self._files.sync(all_folders.open(operation)[0])

    def _sync_entry(self, folder_fd: int, name: str) -> None:
        """Sync a file; one that its mode does not let us open, with its whole file system."""
        try:
            with open_file(folder_fd, name) as fd:
                self._files.sync(fd)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.ELOOP):
                raise
            self._files.sync_file_system(self._root_fd)

    def _do(self, folders: "_Folders", book: Book, operation: LoggedOperation) -> str:
        """Do an operation; or give what somebody else did to its path: then nothing is done."""
        step = operation.step
        try:
            fd, name = folders.open(operation)
        except _FolderGoneError as exc:
            return str(exc)
        fault = difference(step.base, read_signature_like(fd, name, step.base))
        if not fault and operation.kind is OperationKind.DELETE_FOLDER:
            return self._delete_folder(book, operation, fd, name)
        return fault or do_rename(step, self._files, book.stage_fd, fd, name)

    def _delete_folder(
        self, book: Book, operation: LoggedOperation, folder_fd: int, name: str
    ) -> str:
        """Move a folder away in which nothing is; give what somebody else put there meanwhile."""
        step = operation.step
        if _has_entries(folder_fd, name):
            raise TransactionError(
                f"{step.path} cannot be deleted: something is in it",
                hint="Delete that first, or all of it at once: delete_folder.",
            )
        fault = do_rename(step, self._files, book.stage_fd, folder_fd, name)
        if not fault and _has_entries(book.stage_fd, step.slot):
            self._put_folder_back(operation, book, folder_fd, name)
            return "changed inside"
        return fault

    def _put_folder_back(
        self, operation: LoggedOperation, book: Book, folder_fd: int, name: str
    ) -> None:
        undo_rename(operation.step, self._files, book.stage_fd, folder_fd, name)
        if operation.base is not None:  # It was opened for its owner, if that could not move it.
            self._files.set_mode(folder_fd, name, stat.S_IMODE(operation.base.mode))

    def _undo(self, folders: "_Folders", book: Book, operation: LoggedOperation) -> str:
        """Take an operation back; give the path of a folder that has to stay."""
        step, is_folder = operation.step, operation.kind is OperationKind.MAKE_FOLDER
        fd, name = folders.open(operation)
        if is_folder and _has_entries(fd, name):
            return step.path
        if operation.kind is OperationKind.DELETE_FOLDER:
            self._put_folder_back(operation, book, fd, name)
            return ""
        undo_rename(step, self._files, book.stage_fd, fd, name)
        if step.kind is StepKind.REMOVE:
            return ""
        if is_folder:
            is_ours = not _has_entries(book.stage_fd, step.slot)
        else:
            is_ours = _is_as_staged(operation, book.stage_fd, step.slot)
        if is_ours:
            return ""
        self._put_back(book, operation, fd, name)
        if is_folder:
            return step.path
        raise conflict([(step.path, "changed since")])

    def _put_back(self, book: Book, operation: LoggedOperation, folder_fd: int, name: str) -> None:
        """Give somebody who slipped in between back what is theirs."""
        step = operation.step
        if step.kind is StepKind.SWAP:
            self._files.exchange(book.stage_fd, step.slot, folder_fd, name)
        else:
            self._files.move(book.stage_fd, step.slot, folder_fd, name)

    def _hindered(self, folders: "_Folders", done: Sequence[Item]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        seen: set[str] = set()
        deleted: set[str] = set()
        for book, operation in done:
            fault = _stage_fault(book, operation)
            is_below = not deleted.isdisjoint(folders_above(operation.path))
            if not fault and operation.path not in seen and not is_below:
                fault = _target_fault(folders, operation)
            if operation.kind is OperationKind.DELETE_FOLDER:
                deleted.add(operation.path)  # It comes back first, with nothing in it.
            if fault:
                found.append((operation.path, fault))
            seen.add(operation.path)
        return found


class _Folders:
    """The folders that one pass works in, each opened once and held to be the one that it was."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._open: dict[str, tuple[int, int]] = {}

    def open(self, operation: LoggedOperation) -> tuple[int, str]:
        """Open the folder of an operation's path; give it and the last name. It stays open.

        Raises:
            _FolderGoneError: If it is not the one that it was.
        """
        folder, _, name = operation.path.rpartition("/")
        found = self._open.get(folder)
        if found is not None and found[1] != operation.folder_inode:
            # A folder was deleted and made anew, and is now taken back: it is found again.
            os.close(self._open.pop(folder)[0])
            found = None
        if found is None:
            if len(self._open) >= _OPEN_FOLDERS_MAX:
                os.close(self._open.pop(next(iter(self._open)))[0])
            fd = self._walk(operation.path)
            found = self._open[folder] = (fd, os.fstat(fd).st_ino)
        if found[1] != operation.folder_inode:
            raise _FolderGoneError("its folder was replaced since")
        return found[0], name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd, _ in self._open.values():
            os.close(fd)

    def _walk(self, path: str) -> int:
        try:
            with open_parent(self._root_fd, path) as (fd, _):
                return os.dup(fd)
        except FileNotFoundError as exc:
            raise _FolderGoneError("its folder was deleted since") from exc
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise _FolderGoneError("its folder was replaced since") from exc


class _FolderGoneError(Exception):
    """The folder of a path is not the one that it was. Never leaves this module."""


def conflict(paths: Sequence[tuple[str, str]]) -> ConflictError:
    """Make the error for paths that somebody else has changed."""
    return ConflictError(
        f"{len(paths)} path{'s were' if len(paths) > 1 else ' was'} changed by somebody else",
        paths=tuple(sorted(paths)),
        hint="Put what was changed elsewhere, and try again; nothing of it is overwritten.",
    )


def _stage_fault(book: Book, operation: LoggedOperation) -> str:
    """Say if what was there before an operation is lost."""
    step = operation.step
    if step.kind is StepKind.PLACE or status_of(book.stage_fd, step.slot) is not None:
        return ""
    return "what was there before is gone from the stage"


def _target_fault(folders: _Folders, operation: LoggedOperation) -> str:
    """Say what somebody else did to what an operation has put to its path."""
    step = operation.step
    try:
        fd, name = folders.open(operation)
    except _FolderGoneError as exc:
        return str(exc)
    if not is_target_ours(step, fd, name):
        return "created since" if step.kind is StepKind.REMOVE else "replaced since"
    if redo_has_content(operation.kind) and not _is_as_staged(operation, fd, name):
        return "changed since"
    return ""


def _is_as_staged(operation: LoggedOperation, folder_fd: int, name: str) -> bool:
    status = status_of(folder_fd, name)
    return status is not None and (status.st_ino, status.st_size, status.st_mtime_ns) == (
        operation.step.staged_inode,
        operation.staged_size,
        operation.staged_mtime_ns,
    )


def _has_entries(folder_fd: int, name: str) -> bool:
    with open_folder(folder_fd, name) as fd, os.scandir(fd) as entries:
        return next(entries, None) is not None
