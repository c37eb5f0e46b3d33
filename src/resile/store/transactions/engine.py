"""What happens to a transaction: log first, durable, then the renames; and all of it backwards."""

import contextlib
import errno
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from resile.core.clock import Clock
from resile.errors import ResileError, TransactionError
from resile.store.log import RecordLog, RecordType
from resile.store.transactions.ledger import Book, Ledger, folders_above
from resile.store.transactions.model import (
    FileOperation,
    LoggedOperation,
    Noted,
    OperationKind,
    Savepoint,
    TransactionStatus,
)
from resile.store.transactions.payloads import (
    Compensation,
    encode_begin,
    encode_compensation,
    encode_dependences,
    encode_noted,
    encode_operation,
    encode_time,
)
from resile.store.transactions.renaming import Renaming
from resile.store.transactions.staging import Stages
from resile.store.writeahead.files import TreeFiles

logger = logging.getLogger(__name__)

GROUP_OPERATIONS_MAX = 1000
"""Operations that share two syncs: of the stage and of the log."""
GROUP_BYTES_MAX = 4 << 20


class Engine:
    """Carries out what transactions ask for. Safe to share between threads.

    Args:
        log: Where it is written down.
        ledger: Who writes what.
        stages: Where new entries are built.
        renaming: What does the renames.
        files: The effects.
        clock: For the times of commits.
        last_commit: The latest one in the log: times of commits never go back.
    """

    def __init__(
        self,
        *,
        log: RecordLog,
        ledger: Ledger,
        stages: Stages,
        renaming: Renaming,
        files: TreeFiles,
        clock: Clock,
        last_commit: datetime,
    ) -> None:
        self.ledger = ledger
        self._log = log
        self._stages = stages
        self._renaming = renaming
        self._files = files
        self._clock = clock
        self._last_commit = last_commit
        self._commit_lock = threading.Lock()

    def apply(self, book: Book, operations: Sequence[FileOperation]) -> None:
        """Do operations in their order, all of them or none.

        Raises:
            ConflictError: If another transaction or somebody else changes one of the paths.
            TransactionError: If one cannot be done, or the transaction is no longer open.
            StoreError: If the log could not be written.
        """
        with book.lock:
            self.ledger.check_open(book)
            before = len(book.operations)
            try:
                for group in _groups(operations):
                    self._apply_group(book, group)
            except OSError as exc:
                self._take_back(book, before)
                raise _failed(exc) from exc
            except ResileError:
                self._take_back(book, before)
                raise

    def depend(self, book: Book, path: str) -> None:
        """Let a transaction depend on whoever writes a path; durable with its next operation.

        Raises:
            ConflictError: If two would depend on each other.
            TransactionError: If it is no longer open.
            StoreError: If the log could not be written.
        """
        with book.lock:
            if new := self.ledger.note_read(book, path):
                self._begin(book, new)

    def savepoint(self, book: Book) -> Savepoint:
        """Name a point to which the transaction can be rolled back.

        Raises:
            TransactionError: If it is no longer open.
            StoreError: If the log has failed.
        """
        with book.lock:
            self.ledger.check_open(book)
            self._begin(book, {})
            seq = self._log.append(RecordType.SAVEPOINT, book.number)
            book.savepoints.append(seq)
            return Savepoint(transaction=book.number, seq=seq, operations=book.count)

    def rollback(self, book: Book, savepoint: Savepoint) -> None:
        """Take back what was done after a savepoint, and abort whoever depends on that; durable.

        Raises:
            ConflictError: If somebody else has changed what was done; nothing is taken back.
            TransactionError: If the savepoint is gone, or something could not be taken back.
            StoreError: If the log could not be written.
        """
        with book.lock:
            if savepoint.transaction != book.number or savepoint.seq not in book.savepoints:
                raise TransactionError(
                    f"transaction {book.number} has no such savepoint",
                    hint="A rollback to an earlier savepoint removes the later ones.",
                )
            dependents = self.ledger.begin_ending(book, beyond=savepoint.operations)
            with self._ending([book, *dependents]):
                later = [
                    (seq, book, operation)
                    for seq, operation in book.operations
                    if operation.number > savepoint.operations
                ]
                seq = self._undo([*later, *_items(dependents)])
                self._close(dependents, seq, origin=book)
            book.savepoints = [seq for seq in book.savepoints if seq <= savepoint.seq]

    def commit(self, book: Book) -> None:
        """Make everything that the transaction did durable, and then itself.

        Raises:
            ConflictError: If it depends on one that is still open.
            TransactionError: If it is no longer open, or its files could not be made durable:
                it is still open then.
            StoreError: If the log could not be written; only opening it again tells how it ended.
        """
        with book.lock:
            self.ledger.check_commit(book)
            if book.is_begun:
                operations = [operation for _, operation in book.operations]
                try:
                    self._renaming.sync(operations, has_contents=True)
                except OSError as exc:
                    raise _failed(exc) from exc
                seq = self._append_commit(book, self._clock.now())
                self._log.sync(seq)
                self._log.export_head(seq)
            self.ledger.end(book, TransactionStatus.COMMITTED)
            self._clear([book])

    def note(self, origin: str, changes: Iterable[Noted], at: datetime) -> None:
        """Append what somebody else committed; durable.

        Raises:
            TransactionError: If 256 transactions are open.
            StoreError: If the log could not be written.
        """
        book = self.ledger.begin(())
        try:
            begun = encode_begin(self._clock.now(), origin)
            self._log.append(RecordType.BEGIN, book.number, begun)
            for noted in changes:
                self._log.append(RecordType.NOTED, book.number, encode_noted(noted))
            seq = self._append_commit(book, at)
        except BaseException as exc:
            self.ledger.end(book, TransactionStatus.ABORTED, cause=str(exc))
            with contextlib.suppress(ResileError):  # The error that led here is the one to tell.
                self._log.append(RecordType.ABORT, book.number)
            raise
        self._log.sync(seq)
        self._log.export_head(seq)
        self.ledger.end(book, TransactionStatus.COMMITTED)

    def abort(self, book: Book) -> None:
        """Take everything back, and whatever depends on it; durable when it returns.

        Nothing happens if it is aborted already, or another thread does so.

        Raises:
            ConflictError: If somebody else has changed what was done; nothing is taken back, and
                the transaction is still open.
            TransactionError: If it is committed, or something could not be taken back.
            StoreError: If the log could not be written.
        """
        with book.lock:
            if book.is_ending or book.status is TransactionStatus.ABORTED:
                return
            dependents = self.ledger.begin_ending(book)
            with self._ending([book, *dependents]):
                seq = self._undo(_items([book, *dependents]))
                self._close([*dependents, book], seq, origin=book)

    def abort_all(self, books: Sequence[Book]) -> None:
        """Take back transactions that were in flight when the machine stopped.

        Raises:
            ConflictError, TransactionError, StoreError: As `abort`.
        """
        with self._ending(books):
            self._close(books, self._undo(_items(books)))

    def let_go(self) -> None:
        """Close what is open; transactions in flight are taken back when the log is opened again."""
        for book in self.ledger.open_books():
            with book.lock:
                self.ledger.end(book, TransactionStatus.ABORTED, cause="the log was closed")
                self._stages.close(book)
        self._stages.leave()

    def _apply_group(self, book: Book, group: Sequence[FileOperation]) -> None:
        emptied = [one.path for one in group if one.kind is OperationKind.DELETE_FOLDER]
        new = self.ledger.claim(book, [one.path for one in group], emptied=emptied)
        self._stages.open(book)
        staged = [self._stages.stage(book, operation) for operation in group]
        self._files.sync(book.stage_fd)
        self._begin(book, new)
        logged = [
            (self._log.append(RecordType.OP, book.number, encode_operation(operation)), operation)
            for operation in staged
        ]
        self._log.sync(logged[-1][0])
        book.operations += logged
        self._renaming.do(book, staged)

    def _begin(self, book: Book, new: Mapping[int, int]) -> None:
        """Write what comes before a transaction's next record: its first one, and who it depends on.

        Args:
            book: The transaction.
            new: What it did not depend on before.
        """
        if not book.is_begun:
            book.is_begun = True
            self._log.append(RecordType.BEGIN, book.number, encode_time(self._clock.now()))
            new = book.depends
        if new:
            self._log.append(RecordType.DEPENDS, book.number, encode_dependences(new.items()))

    def _append_commit(self, book: Book, at: datetime) -> int:
        with self._commit_lock:
            self._last_commit = max(self._last_commit, at)
            return self._log.append(RecordType.COMMIT, book.number, encode_time(self._last_commit))

    def _take_back(self, book: Book, before: int) -> None:
        """Return to how many operations there were before a call that failed."""
        if later := book.operations[before:]:
            with _as_transaction_error():
                self._log.sync(self._undo([(seq, book, operation) for seq, operation in later]))

    def _undo(self, items: Iterable[tuple[int, Book, LoggedOperation]]) -> int:
        """Take operations back, of several transactions in one order; durable.

        Returns:
            The last record that notes it, which is not durable yet; 0 where nothing was to be done.
        """
        ordered = sorted(items, key=lambda item: item[0])
        kept = self._renaming.undo([(book, operation) for _, book, operation in ordered])
        for path in kept:
            logger.warning("transaction.folder_kept", extra={"path": path})
        seq = 0
        for undone, book, _ in reversed(ordered):
            book.operations.pop()
            compensation = Compensation(
                undone=undone, undo_next=book.operations[-1][0] if book.operations else 0
            )
            seq = self._log.append(RecordType.CLR, book.number, encode_compensation(compensation))
        return seq

    def _close(self, books: Sequence[Book], seq: int, *, origin: Book | None = None) -> None:
        """Note that transactions are aborted; durable, with the records up to one.

        Another thread may have aborted some of them while we waited for their locks.
        """
        left = [book for book in books if book.status is TransactionStatus.OPEN]
        seqs = [self._log.append(RecordType.ABORT, b.number) for b in left if b.is_begun]
        self._log.sync(max([seq, *seqs]))
        for book in left:
            cause = ""
            if origin is not None and book is not origin:
                cause = f"it depends on transaction {origin.number}"
            self.ledger.end(book, TransactionStatus.ABORTED, cause=cause)
        self._clear(left)

    def _clear(self, books: Sequence[Book]) -> None:
        """Remove stages; what could not be removed now is when the log is opened again."""
        for book in books:
            try:
                self._stages.remove(book)
            except OSError as exc:
                logger.warning(
                    "transaction.stage_kept",
                    extra={"transaction": book.number, "reason": exc.strerror},
                )

    @contextlib.contextmanager
    def _ending(self, books: Sequence[Book]) -> Iterator[None]:
        """Hold the locks of transactions that are rolled back; in the end, those left go on."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.ledger.stop_ending, books)
            for book in books:
                stack.enter_context(book.lock)
            with _as_transaction_error():
                yield


@contextlib.contextmanager
def _as_transaction_error() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _failed(exc) from exc


def _failed(exc: OSError) -> TransactionError:
    name = f"{exc.filename}: " if isinstance(exc.filename, str) else ""
    hint = "Check the disk, its space and the permissions; abort, or try again."
    if exc.errno == errno.EINVAL:
        hint = (
            "Its file system cannot exchange two files, or rename without replacing: the folder"
            " must be on ext4, XFS, btrfs, tmpfs or the like."
        )
    return TransactionError(
        f"the folder could not be worked on: {name}{exc.strerror or exc}",
        hint=hint,
        is_transient=exc.errno != errno.EINVAL,
    )


def _items(books: Iterable[Book]) -> list[tuple[int, Book, LoggedOperation]]:
    return [(seq, book, operation) for book in books for seq, operation in book.operations]


def _groups(operations: Iterable[FileOperation]) -> Iterator[list[FileOperation]]:
    """Give what can be built before any of it is done: one operation does not need another."""
    group: list[FileOperation] = []
    paths: set[str] = set()
    size_bytes = 0
    for operation in operations:
        is_full = len(group) >= GROUP_OPERATIONS_MAX or size_bytes > GROUP_BYTES_MAX
        if (
            is_full
            or operation.path in paths
            or not paths.isdisjoint(folders_above(operation.path))
        ):
            yield group
            group, paths, size_bytes = [], set(), 0
        group.append(operation)
        paths.add(operation.path)
        size_bytes += len(operation.data)
    if group:
        yield group
