"""One transaction over the files of a folder."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from resile.errors import TransactionError
from resile.store.transactions.engine import Engine
from resile.store.transactions.ledger import Book
from resile.store.transactions.model import (
    FILE_BYTES_MAX,
    FileOperation,
    OperationKind,
    Savepoint,
    TransactionStatus,
)
from resile.store.transactions.paths import check_path
from resile.store.transactions.reading import deletions, read_file


class FileTransaction:
    """Changes to files that are committed or aborted together. Safe to share between threads.

    What it does is seen by everybody at once; the log can take it back until it is committed. Each
    call is done whole or not at all. As a context manager it commits at the end, and aborts when
    an error leaves it.

    Every call that changes something raises:
        ConflictError: If another open transaction writes the path, or somebody else changed it.
        TransactionError: If it cannot be done to what is there, or the transaction has ended.
        StoreError: If the log could not be written: open the log again then.
    """

    def __init__(self, engine: Engine, book: Book, root_fd: int) -> None:
        self._engine = engine
        self._book = book
        self._root_fd = root_fd

    @property
    def number(self) -> int:
        """Names it in the log."""
        return self._book.number

    @property
    def status(self) -> TransactionStatus:
        """Where it stands; another one that it depends on may have taken it along."""
        return self._book.status

    def create(self, path: str, data: bytes, *, mode: int | None = None) -> None:
        """Make a file where nothing is; its folder must be there. Mode: 0644 by default."""
        self.apply([FileOperation(kind=OperationKind.CREATE, path=path, data=data, mode=mode)])

    def modify(self, path: str, data: bytes, *, mode: int | None = None) -> None:
        """Give a file other content; owner, mode and attributes stay.

        It becomes another inode: further names of the old one keep the old content.
        """
        self.apply([FileOperation(kind=OperationKind.MODIFY, path=path, data=data, mode=mode)])

    def delete(self, path: str) -> None:
        """Remove a file, a link or a pipe."""
        self.apply([FileOperation(kind=OperationKind.DELETE, path=path)])

    def make_folder(self, path: str, *, mode: int | None = None) -> None:
        """Make an empty folder where nothing is. Mode: 0755 by default."""
        self.apply([FileOperation(kind=OperationKind.MAKE_FOLDER, path=path, mode=mode)])

    def delete_folder(self, path: str) -> None:
        """Remove a folder with all that is in it, all of it or nothing; at most 100,000 entries."""
        check_path(path)
        with self._book.lock:
            self.apply(deletions(self._root_fd, path))

    def apply(self, operations: Iterable[FileOperation]) -> None:
        """Do many operations, all of them or none; they share their syncs, up to 1,000 at a time."""
        listed = list(operations)
        for operation in listed:
            check_path(operation.path)
        self._engine.apply(self._book, listed)

    def read(self, path: str) -> bytes:
        """Read a file; if another open transaction has written it, this one depends on that.

        Raises:
            ConflictError: If two transactions would depend on each other.
            TransactionError: If it cannot be read, or has more than 64 MiB.
            StoreError: If the log could not be written.
        """
        check_path(path)
        self._engine.depend(self._book, path)
        try:
            return read_file(self._root_fd, path, limit_bytes=FILE_BYTES_MAX)
        except OSError as exc:
            raise TransactionError(f"{path} cannot be read: {exc.strerror}") from exc

    def savepoint(self) -> Savepoint:
        """Name this point, for `rollback`.

        Raises:
            TransactionError: If the transaction has ended.
            StoreError: If the log has failed.
        """
        return self._engine.savepoint(self._book)

    def rollback(self, savepoint: Savepoint) -> None:
        """Take back what was done since a savepoint; durable. Whoever depends on it is aborted.

        Raises:
            ConflictError: If somebody else has changed what was done; nothing is taken back then.
            TransactionError: If the savepoint is gone, or something could not be taken back.
            StoreError: If the log could not be written.
        """
        self._engine.rollback(self._book, savepoint)

    def commit(self) -> None:
        """Commit; when it returns, all of it outlives a power cut.

        Raises:
            ConflictError: If it depends on a transaction that is still open.
            TransactionError: If it has ended, or its files could not be made durable: it is open then.
            StoreError: If the log could not be written; opening it again tells how it ended.
        """
        self._engine.commit(self._book)

    def abort(self) -> None:
        """Take everything back, and all that depends on it; durable. Nothing happens if it was.

        Raises:
            ConflictError: If somebody else has changed what was done; nothing is taken back, and
                the transaction is still open.
            TransactionError: If it is committed, or something could not be taken back.
            StoreError: If the log could not be written.
        """
        self._engine.abort(self._book)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.commit()
        elif isinstance(error, Exception):
            self.abort()
