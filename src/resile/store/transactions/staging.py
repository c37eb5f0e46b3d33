"""Builds what operations put into the folder, in a private folder beside it on its file system.

A slot holds the new entry with everything that it will have; then one rename makes it visible.
Nothing of the folder is changed here.
"""

import contextlib
import os
import stat
from dataclasses import replace

from blake3 import blake3

from resile.core.trees import FOLDER_FLAGS, status_of
from resile.errors import TransactionError
from resile.store.transactions.ledger import Book
from resile.store.transactions.model import (
    FILE_BYTES_MAX,
    INLINE_BYTES_MAX,
    REMOVALS,
    BlobSink,
    FileOperation,
    LoggedOperation,
    OperationKind,
    Redo,
)
from resile.store.transactions.patches import Patch, patches_between
from resile.store.transactions.payloads import step_for
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import STAGE_PREFIX, Signature
from resile.store.writeahead.steps import slot_name
from resile.store.writeahead.trees import open_file, open_parent, read_metadata, read_signature

_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


class Stages:
    """The stages of a log's transactions. Safe to share between threads that share no transaction.

    Args:
        root_fd: The folder.
        log_id: Of the log: names the stage.
        blobs: Where big contents go; None: they are not kept for replays.
        files: The effects.
    """

    def __init__(
        self, *, root_fd: int, log_id: bytes, blobs: BlobSink | None, files: TreeFiles
    ) -> None:
        self._root_fd = root_fd
        self._name = f"{STAGE_PREFIX}{log_id.hex()}"
        self._blobs = blobs
        self._files = files

    def open(self, book: Book) -> None:
        """Open a transaction's stage, and make it if need be; its name is durable then.

        Raises:
            OSError: If it could not be made.
        """
        if book.stage_fd >= 0:
            return
        stages_fd = self._open_or_make(self._root_fd, self._name)
        try:
            book.stage_fd = self._open_or_make(stages_fd, str(book.number))
        finally:
            os.close(stages_fd)

    def open_existing(self, book: Book) -> bool:
        """Open the stage of a transaction that was found in the log; False if it is gone."""
        try:
            with open_parent(self._root_fd, f"{self._name}/{book.number}") as (fd, name):
                book.stage_fd = os.open(name, FOLDER_FLAGS, dir_fd=fd)
        except FileNotFoundError:
            return False
        return True

    def remove(self, book: Book) -> None:
        """Remove the stage of a transaction that has ended.

        Raises:
            OSError: If that failed; the rest is removed when the log is opened again.
        """
        if book.stage_fd < 0:
            return
        self.close(book)
        with open_parent(self._root_fd, f"{self._name}/{book.number}") as (fd, name):
            self._files.remove_tree(fd, name)

    def close(self, book: Book) -> None:
        """Let go of a stage. May be called twice."""
        if book.stage_fd >= 0:
            os.close(book.stage_fd)
            book.stage_fd = -1

    def sweep(self, kept: set[int]) -> None:
        """Remove what transactions that have ended left behind.

        Raises:
            OSError: If that failed.
        """
        if status_of(self._root_fd, self._name) is None:
            return
        stages_fd = os.open(self._name, FOLDER_FLAGS, dir_fd=self._root_fd)
        try:
            for name in os.listdir(stages_fd):  # noqa: PTH208 - it has no path here
                if name not in map(str, kept):
                    self._files.remove_tree(stages_fd, name)
        finally:
            os.close(stages_fd)

    def leave(self) -> None:
        """Remove the folder of the stages, if nothing is in it."""
        with contextlib.suppress(OSError):
            os.rmdir(self._name, dir_fd=self._root_fd)

    def stage(self, book: Book, operation: FileOperation) -> LoggedOperation:
        """Build an operation's new entry; it and its slot are not durable yet.

        Raises:
            TransactionError: If the operation cannot be done to what is there.
            OSError: If the entry could not be written.
        """
        book.count += 1
        try:
            with open_parent(self._root_fd, operation.path) as (fd, name):
                return self._stage(book, operation, fd, name)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise TransactionError(
                f"{operation.path} cannot be worked on: its folder is not there",
                hint="Make the folder first, in the same transaction.",
            ) from exc

    def _stage(
        self, book: Book, operation: FileOperation, folder_fd: int, name: str
    ) -> LoggedOperation:
        kind, number = operation.kind, book.count
        base = read_signature(folder_fd, name)
        _check(operation, base)
        mode = 0
        staged: os.stat_result | None = None
        if kind is OperationKind.MAKE_FOLDER:
            mode = _FOLDER_MODE if operation.mode is None else operation.mode
            fd = self._files.make_folder(book.stage_fd, slot_name(number))
            os.close(fd)
            self._files.set_mode(book.stage_fd, slot_name(number), mode)
            staged = status_of(book.stage_fd, slot_name(number))
        elif kind not in REMOVALS:
            mode = _mode_of(operation, base)
            staged = self._write(book, operation, folder_fd, name, mode)
        redo, content = self._redo(operation, base, folder_fd, name)
        return LoggedOperation(
            number=number,
            kind=kind,
            step=step_for(
                kind,
                operation.path,
                number,
                staged_inode=staged.st_ino if staged else 0,
                base=base,
            ),
            folder_inode=os.fstat(folder_fd).st_ino,
            staged_size=staged.st_size if staged and redo_has_content(kind) else 0,
            staged_mtime_ns=staged.st_mtime_ns if staged and redo_has_content(kind) else 0,
            mode=mode,
            redo=redo,
            digest=blake3(operation.data).digest() if redo_has_content(kind) else bytes(32),
            content=content,
        )

    def _write(
        self, book: Book, operation: FileOperation, folder_fd: int, name: str, mode: int
    ) -> os.stat_result:
        slot = slot_name(book.count)
        fd = self._files.write_file(book.stage_fd, slot, operation.data, mode=mode)
        try:
            if operation.kind is OperationKind.MODIFY:
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                metadata = replace(read_metadata(folder_fd, name, status), mtime_ns=None)
                if operation.mode is not None:
                    metadata = replace(metadata, mode=operation.mode)
                self._files.set_metadata(book.stage_fd, slot, metadata)
            return os.fstat(fd)
        finally:
            os.close(fd)

    def _redo(
        self, operation: FileOperation, base: Signature | None, folder_fd: int, name: str
    ) -> tuple[Redo, bytes]:
        """Choose how the content is kept for replays."""
        if not redo_has_content(operation.kind):
            return Redo.NONE, b""
        if len(operation.data) <= INLINE_BYTES_MAX:
            return Redo.INLINE, operation.data
        if base is not None and base.size <= FILE_BYTES_MAX:
            with open_file(folder_fd, name) as fd:
                before = os.pread(fd, base.size, 0)
            patches = Patch.encode_all(patches_between(before, operation.data))
            if len(patches) <= INLINE_BYTES_MAX:
                return Redo.PATCHES, patches
        if self._blobs is None:
            return Redo.NONE, b""
        return Redo.BLOB, self._blobs.put(operation.data)

    def _open_or_make(self, folder_fd: int, name: str) -> int:
        """Open a folder of the stages; whoever makes it, its name is durable then."""
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
        except FileNotFoundError:
            pass
        try:
            fd = self._files.make_folder(folder_fd, name)
        except FileExistsError:
            fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
        self._files.sync(folder_fd)
        return fd


def redo_has_content(kind: OperationKind) -> bool:
    """Tell whether there is a content after an operation."""
    return kind in (OperationKind.CREATE, OperationKind.MODIFY)


def _mode_of(operation: FileOperation, base: Signature | None) -> int:
    if operation.mode is not None:
        return operation.mode
    return _FILE_MODE if base is None else stat.S_IMODE(base.mode)


def _check(operation: FileOperation, base: Signature | None) -> None:
    """Refuse an operation that what is there does not allow."""
    kind, fault = operation.kind, ""
    if kind in (OperationKind.CREATE, OperationKind.MAKE_FOLDER):
        fault = "it is there already" if base is not None else ""
    elif base is None:
        fault = "it is not there"
    elif kind is OperationKind.DELETE_FOLDER:
        fault = "" if base.is_folder else "it is no folder"
    elif base.is_folder:
        fault = "it is a folder"
    elif kind is OperationKind.MODIFY and not stat.S_ISREG(base.mode):
        fault = "it is no file"
    if len(operation.data) > FILE_BYTES_MAX:
        fault = f"its content has more than {FILE_BYTES_MAX} bytes"
    if fault:
        raise TransactionError(
            f"{operation.path} cannot be {_DONE[kind]}: {fault}",
            hint="Nothing of this call was done; the transaction goes on.",
        )


_DONE = {
    OperationKind.CREATE: "created",
    OperationKind.MODIFY: "modified",
    OperationKind.DELETE: "deleted",
    OperationKind.MAKE_FOLDER: "made",
    OperationKind.DELETE_FOLDER: "deleted",
}
