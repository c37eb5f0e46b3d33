"""Who writes which path, and who depends on whom, among the transactions that are open."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from resile.errors import ConflictError, TransactionError
from resile.store.transactions.model import (
    OPEN_TRANSACTIONS_MAX,
    LoggedOperation,
    TransactionStatus,
)


@dataclass(slots=True, kw_only=True, eq=False)
class Book:
    """What is known about one transaction.

    `lock` is held while its files are worked on; `status`, `is_ending` and `depends` belong to the
    ledger's lock. Whoever holds one transaction's lock takes only those of its dependents.

    Args:
        number: Names it.
        depends: The transactions that it depends on, each with how many of its operations.
        operations: What is done and not taken back, with the number of its record.
        savepoints: The records of those that may still be rolled back to.
        count: Operations ever; numbers their slots in the stage.
        stage_fd: Its stage; -1: it has none yet.
        is_begun: Its first record is in the log.
        is_ending: It is being taken back: it gets no operations and no dependents.
        status: Where it stands.
        cause: Why it was rolled back, if it was not asked for.
        lock: See above.
    """

    number: int
    depends: dict[int, int] = field(default_factory=dict)
    operations: list[tuple[int, LoggedOperation]] = field(default_factory=list)
    savepoints: list[int] = field(default_factory=list)
    count: int = 0
    stage_fd: int = -1
    is_begun: bool = False
    is_ending: bool = False
    status: TransactionStatus = TransactionStatus.OPEN
    cause: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)


class Ledger:
    """The open transactions. Safe to share between threads; nothing in it waits for the disk.

    Args:
        next_number: Of the first new transaction.
    """

    def __init__(self, next_number: int) -> None:
        self._next_number = next_number
        self._books: dict[int, Book] = {}
        self._writers: dict[str, Book] = {}
        self._lock = threading.Lock()

    def begin(self, depends_on: Iterable[Book]) -> Book:
        """Open a transaction.

        Raises:
            ConflictError: If one that it depends on was rolled back, or is being rolled back.
            TransactionError: If 256 are open.
        """
        with self._lock:
            if len(self._books) >= OPEN_TRANSACTIONS_MAX:
                raise TransactionError(
                    f"{OPEN_TRANSACTIONS_MAX} transactions are open",
                    hint="Commit or abort some of them.",
                    is_transient=True,
                )
            book = Book(number=self._next_number)
            for other in depends_on:
                if other.status is TransactionStatus.ABORTED or other.is_ending:
                    raise _rolled_back(other)
                if other.status is TransactionStatus.OPEN:
                    book.depends[other.number] = other.count
            self._next_number += 1
            self._books[book.number] = book
            return book

    def adopt(self, book: Book) -> None:
        """Take over a transaction that was found in the log."""
        with self._lock:
            self._books[book.number] = book
            for _, operation in book.operations:
                self._writers[operation.path] = book

    def open_books(self) -> list[Book]:
        """Give the open transactions, oldest first."""
        with self._lock:
            return [self._books[number] for number in sorted(self._books)]

    def check_open(self, book: Book) -> None:
        """Refuse what has ended.

        Raises:
            TransactionError: If it is no longer open.
        """
        with self._lock:
            _check_open(book)

    def claim(
        self, book: Book, paths: Iterable[str], *, emptied: Iterable[str] = ()
    ) -> dict[int, int]:
        """Let a transaction write paths, all or none; give what it depends on now and did not before.

        Args:
            book: The transaction.
            paths: What it writes.
            emptied: The folders among them that it deletes: it depends on whoever took something
                out of them, which needs them again if it is rolled back.

        Raises:
            ConflictError: If another open one writes one of them, or two would depend on each other.
            TransactionError: If it is no longer open.
        """
        with self._lock:
            _check_open(book)
            paths = list(paths)
            busy = tuple(
                (path, f"transaction {other.number} writes it")
                for path in paths
                if (other := self._writers.get(path)) is not None and other is not book
            )
            if busy:
                raise ConflictError(
                    f"{len(busy)} path{'s are' if len(busy) > 1 else ' is'} being written by "
                    "another transaction",
                    paths=busy,
                    hint="Wait until it has ended, or work on other paths.",
                )
            gone = set(emptied)
            touched = {above for path in paths for above in folders_above(path)}
            if gone:
                touched |= {p for p in self._writers if not gone.isdisjoint(folders_above(p))}
            new = self._depend(book, touched)
            for path in paths:
                self._writers[path] = book
            return new

    def note_read(self, book: Book, path: str) -> dict[int, int]:
        """Let a transaction depend on whoever writes a path; give what it did not depend on before.

        Raises:
            ConflictError: If two would depend on each other.
            TransactionError: If it is no longer open.
        """
        with self._lock:
            _check_open(book)
            return self._depend(book, {path, *folders_above(path)})

    def check_commit(self, book: Book) -> None:
        """Refuse to commit what depends on something that may still be rolled back.

        Raises:
            ConflictError: If it does.
            TransactionError: If it is no longer open.
        """
        with self._lock:
            _check_open(book)
            if waiting := sorted(book.depends.keys() & self._books.keys()):
                raise ConflictError(
                    f"transaction {book.number} depends on transaction {waiting[0]}, which is open",
                    paths=(),
                    hint="Commit that one first.",
                )

    def begin_ending(self, book: Book, *, beyond: int = -1) -> list[Book]:
        """Keep a transaction and its dependents from going on; give the dependents.

        Args:
            book: What is rolled back.
            beyond: To after how many of its operations: whoever depends on more goes with it.
                -1: all of it, and all of its dependents.

        Raises:
            TransactionError: If it is no longer open.
        """
        with self._lock:
            _check_open(book)
            dependents = self._dependents(book, beyond)
            for other in (book, *dependents):
                other.is_ending = True
            return dependents

    def stop_ending(self, books: Iterable[Book]) -> None:
        """Let transactions go on, because they were not rolled back, or not as a whole."""
        with self._lock:
            for book in books:
                book.is_ending = False

    def end(self, book: Book, status: TransactionStatus, *, cause: str = "") -> None:
        """Close a transaction: its paths are free."""
        with self._lock:
            book.status, book.cause, book.is_ending = status, cause, False
            self._books.pop(book.number, None)
            for path in [path for path, writer in self._writers.items() if writer is book]:
                del self._writers[path]

    def _depend(self, book: Book, paths: Iterable[str]) -> dict[int, int]:
        others = {other for path in paths if (other := self._writers.get(path)) is not None}
        new = {}
        for other in others - {book}:
            if other.is_ending:
                raise _rolled_back(other)
            if other in self._dependents(book, -1):
                raise ConflictError(
                    f"transactions {book.number} and {other.number} would depend on each other",
                    paths=(),
                    hint="Commit or abort one of them first.",
                )
            if book.depends.get(other.number, -1) < other.count:
                new[other.number] = other.count
        book.depends.update(new)
        return new

    def _dependents(self, book: Book, beyond: int) -> list[Book]:
        """Give those that depend on a transaction, and those that depend on these."""
        found = [b for b in self._books.values() if b.depends.get(book.number, -1) > beyond]
        for other in found:
            found += [
                b for b in self._books.values() if other.number in b.depends and b not in found
            ]
        return found


def folders_above(path: str) -> Iterator[str]:
    """Give the folders above a path, without the root."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def _check_open(book: Book) -> None:
    if book.status is TransactionStatus.OPEN and not book.is_ending:
        return
    what = "being rolled back" if book.is_ending else book.status.name.lower()
    raise TransactionError(
        f"transaction {book.number} is {what}" + (f": {book.cause}" if book.cause else ""),
        hint="Begin another one.",
    )


def _rolled_back(book: Book) -> ConflictError:
    return ConflictError(
        f"transaction {book.number} is rolled back",
        paths=(),
        hint="Nothing can depend on it: begin again.",
    )
