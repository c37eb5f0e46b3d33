"""Does the logged operations of transactions, and takes them back; each can be done again.

Right before a rename the target is compared with what the log says should be there, and right
after it what came into the stage is. What somebody else has changed since is never taken back.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from resile.errors import ConflictError
from resile.store.transactions.ledger import Book
from resile.store.transactions.model import LoggedOperation, OperationKind
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
from resile.store.writeahead.trees import (
    open_file,
    open_folder,
    open_parent,
    read_signature_like,
    status_of,
)

_SYNCED_ONE_BY_ONE_MAX = 32
"""More files or folders are made durable by syncing their file system once."""

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

    def do(self, book: Book, operation: LoggedOperation) -> str:
        """Do an operation; or give what somebody else did to its path: then nothing is done.

        Raises:
            OSError: If it failed; it is done whole or not at all.
        """
        try:
            with self._target(operation) as (fd, name):
                step = operation.step
                fault = difference(step.base, read_signature_like(fd, name, step.base))
                return fault or do_rename(step, self._files, book.stage_fd, fd, name)
        except _FolderGoneError as exc:
            return str(exc)

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
        if hindered := self.hindered(done):
            raise conflict(hindered)
        kept = tuple(path for item in done if (path := self._undo(*item)))
        self.sync([operation for _, operation in done], has_contents=False)
        for book in {book.number: book for book, _ in done}.values():
            self._files.sync(book.stage_fd)
        return kept

    def hindered(self, done: Sequence[Item]) -> list[tuple[str, str]]:
        """List the paths of which an operation cannot be taken back, and why.

        Args:
            done: The last one first. Only the last one of each path is still to be seen there.
        """
        found: list[tuple[str, str]] = []
        seen: set[str] = set()
        for book, operation in done:
            if fault := self._fault(book, operation, is_last=operation.path not in seen):
                found.append((operation.path, fault))
            seen.add(operation.path)
        return found

    def sync(self, operations: Sequence[LoggedOperation], *, has_contents: bool) -> None:
        """Make what operations did durable: names, and contents if asked for.

        Raises:
            OSError: If the disk refuses.
        """
        folders = {operation.path.rpartition("/")[0]: operation for operation in operations}
        written = {o.path: o for o in operations if o.kind is not OperationKind.DELETE}
        count = len(folders) + (len(written) if has_contents else 0)
        if count > _SYNCED_ONE_BY_ONE_MAX:
            self._files.sync_file_system(self._root_fd)
            return
        if has_contents:
            for operation in written.values():
                with contextlib.suppress(_FolderGoneError), self._target(operation) as (fd, name):
                    self._sync_entry(fd, name)
        for operation in folders.values():
            with contextlib.suppress(_FolderGoneError), self._target(operation) as (fd, _):
                self._files.sync(fd)

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

    def _undo(self, book: Book, operation: LoggedOperation) -> str:
        step = operation.step
        try:
            with self._target(operation) as (fd, name):
                if operation.kind is OperationKind.MAKE_FOLDER and _has_entries(fd, name):
                    return step.path
                undo_rename(step, self._files, book.stage_fd, fd, name)
                if step.kind is StepKind.REMOVE:
                    return ""
                if operation.kind is OperationKind.MAKE_FOLDER:
                    is_ours = not _has_entries(book.stage_fd, step.slot)
                else:
                    is_ours = _is_as_staged(operation, book.stage_fd, step.slot)
                if is_ours:
                    return ""
                self._put_back(book, operation, fd, name)
        except _FolderGoneError as exc:
            raise conflict([(step.path, str(exc))]) from exc
        if operation.kind is OperationKind.MAKE_FOLDER:
            return step.path
        raise conflict([(step.path, "changed since")])

    def _put_back(self, book: Book, operation: LoggedOperation, folder_fd: int, name: str) -> None:
        """Give somebody who slipped in between back what is theirs."""
        step = operation.step
        if step.kind is StepKind.SWAP:
            self._files.exchange(book.stage_fd, step.slot, folder_fd, name)
        else:
            self._files.move(book.stage_fd, step.slot, folder_fd, name)

    def _fault(self, book: Book, operation: LoggedOperation, *, is_last: bool) -> str:
        step = operation.step
        if step.kind is not StepKind.PLACE and status_of(book.stage_fd, step.slot) is None:
            return "what was there before is gone from the stage"
        if not is_last:
            return ""
        try:
            with self._target(operation) as (fd, name):
                if not is_target_ours(step, fd, name):
                    return "created since" if step.kind is StepKind.REMOVE else "replaced since"
                if redo_has_content(operation.kind) and not _is_as_staged(operation, fd, name):
                    return "changed since"
        except _FolderGoneError as exc:
            return str(exc)
        return ""

    @contextlib.contextmanager
    def _target(self, operation: LoggedOperation) -> Iterator[tuple[int, str]]:
        """Open the folder of an operation's path, and hold it to be the one that it was."""
        with contextlib.ExitStack() as stack:
            try:
                fd, name = stack.enter_context(open_parent(self._root_fd, operation.path))
            except FileNotFoundError as exc:
                raise _FolderGoneError("its folder was deleted since") from exc
            except OSError as exc:
                if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                raise _FolderGoneError("its folder was replaced since") from exc
            if os.fstat(fd).st_ino != operation.folder_inode:
                raise _FolderGoneError("its folder was replaced since")
            yield fd, name


class _FolderGoneError(Exception):
    """The folder of a path is not the one that it was. Never leaves this module."""


def conflict(paths: Sequence[tuple[str, str]]) -> ConflictError:
    """Make the error for paths that somebody else has changed."""
    return ConflictError(
        f"{len(paths)} path{'s were' if len(paths) > 1 else ' was'} changed by somebody else",
        paths=tuple(sorted(paths)),
        hint="Put what was changed elsewhere, and try again; nothing of it is overwritten.",
    )


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
