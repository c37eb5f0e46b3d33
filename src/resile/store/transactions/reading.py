"""Reads what the log says: what is in flight, what was committed, and files for transactions."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from resile.errors import TransactionError
from resile.store.log import Record, RecordType
from resile.store.transactions.ledger import Book
from resile.store.transactions.model import (
    REMOVALS,
    Committed,
    FileOperation,
    LoggedOperation,
    Noted,
    OperationKind,
    Replayed,
)
from resile.store.transactions.payloads import (
    decode_compensation,
    decode_dependences,
    decode_noted,
    decode_operation,
    decode_origin,
    decode_time,
)
from resile.store.writeahead.model import DEPTH_MAX
from resile.store.writeahead.trees import names_in, open_file, open_folder, open_parent, too_deep

ENTRIES_MAX = 100_000
"""Of a folder that is deleted with all that is in it: each is a record in the log."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Found:
    """What the log says of its transactions.

    Args:
        books: Those that have neither committed nor aborted, by number.
        next_number: Of the first new one.
        last_commit: When the last one was committed.
        origins: Of those that were noted and committed.
    """

    books: dict[int, Book] = field(default_factory=dict)
    next_number: int = 1
    last_commit: datetime = _NEVER
    origins: set[str] = field(default_factory=set)


def find_in_flight(records: Iterable[Record]) -> Found:
    """Fold the log.

    Raises:
        StoreDamagedError: If it is damaged.
    """
    found = Found()
    begun: dict[int, str] = {}
    for record in records:
        number = record.transaction
        found.next_number = max(found.next_number, number + 1)
        if record.type is RecordType.BEGIN:
            found.books[number] = Book(number=number, is_begun=True)
            begun[number] = decode_origin(record.payload)
        elif record.type in (RecordType.COMMIT, RecordType.ABORT):
            found.books.pop(number, None)
            origin = begun.pop(number, "")
            if record.type is RecordType.COMMIT:
                found.origins |= {origin} - {""}
                found.last_commit = max(found.last_commit, decode_time(record.payload))
        elif book := found.books.get(number):
            _note(book, record)
    return found


def replay(records: Iterable[Record], until: datetime | None) -> Iterator[Replayed]:
    """Give the operations of committed transactions, in the order of the commits.

    Args:
        records: The log.
        until: Stop before the first commit that was later. None: give all.

    Raises:
        StoreDamagedError: If the log is damaged.
    """
    for commit in commits(records, until):
        yield from (change for change in commit.changes if isinstance(change, Replayed))


def commits(records: Iterable[Record], until: datetime | None) -> Iterator[Committed]:
    """Give the committed transactions, in the order of the commits.

    Holds what is in the log of the transactions that are open at one time.

    Args:
        records: The log.
        until: Stop before the first commit that was later. None: give all.

    Raises:
        StoreDamagedError: If the log is damaged.
    """
    origins: dict[int, str] = {}
    changes: dict[int, dict[int, LoggedOperation | Noted]] = {}
    for record in records:
        number = record.transaction
        if record.type is RecordType.BEGIN:
            changes[number], origins[number] = {}, decode_origin(record.payload)
        elif number not in changes:
            continue
        elif record.type is RecordType.OP:
            changes[number][record.seq] = decode_operation(record.payload)
        elif record.type is RecordType.NOTED:
            changes[number][record.seq] = decode_noted(record.payload)
        elif record.type is RecordType.CLR:
            changes[number].pop(decode_compensation(record.payload).undone, None)
        elif record.type is RecordType.ABORT:
            del changes[number]
        elif record.type is RecordType.COMMIT:
            at = decode_time(record.payload)
            if until is not None and at > until:
                return
            yield Committed(
                transaction=number,
                committed_at=at,
                origin=origins.pop(number),
                changes=tuple(
                    one if isinstance(one, Noted) else _replayed(number, at, one)
                    for one in changes.pop(number).values()
                ),
            )


def first_needed(records: Iterable[Record], before: datetime) -> int:
    """Give the first record of the transactions that are open, or ended at a time or later."""
    begun: dict[int, int] = {}
    needed: list[int] = []
    following = 1
    for record in records:
        following = record.seq + 1
        if record.type is RecordType.BEGIN:
            begun[record.transaction] = record.seq
        elif record.type is RecordType.ABORT:
            begun.pop(record.transaction, None)
        elif record.type is RecordType.COMMIT:
            first = begun.pop(record.transaction, record.seq)
            if decode_time(record.payload) >= before:
                needed.append(first)
    return min([*needed, *begun.values()], default=following)


def deletions(root_fd: int, path: str) -> list[FileOperation]:
    """List what deletes a folder with all that is in it, the deepest first.

    Raises:
        TransactionError: If it is no folder, or has more than 100,000 entries, or too deep ones.
    """
    found: list[FileOperation] = []
    try:
        with open_parent(root_fd, path) as (folder_fd, name):
            _delete_below(found, folder_fd, name, path, 0)
    except OSError as exc:
        raise TransactionError(f"{path} cannot be deleted: {exc.strerror}") from exc
    return found


def _delete_below(
    found: list[FileOperation], folder_fd: int, name: str, path: str, depth: int
) -> None:
    if depth > DEPTH_MAX:
        raise too_deep(path)
    with open_folder(folder_fd, name) as fd:
        for below in names_in(fd):
            inner = f"{path}/{below}"
            if stat.S_ISDIR(os.stat(below, dir_fd=fd, follow_symlinks=False).st_mode):
                _delete_below(found, fd, below, inner, depth + 1)
            else:
                found.append(FileOperation(kind=OperationKind.DELETE, path=inner))
            if len(found) > ENTRIES_MAX:
                raise TransactionError(
                    f"{path} cannot be deleted: more than {ENTRIES_MAX:,} entries are in it",
                    hint="Delete the folders in it one by one.",
                )
    found.append(FileOperation(kind=OperationKind.DELETE_FOLDER, path=path))


def read_file(root_fd: int, path: str, *, limit_bytes: int) -> bytes:
    """Read a whole file, through no link.

    Raises:
        OSError: If it cannot be read.
        TransactionError: If it is no file, or longer than the limit.
    """
    with open_parent(root_fd, path) as (folder_fd, name), open_file(folder_fd, name) as fd:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            raise TransactionError(
                f"{path} cannot be read: it is no file of at most {limit_bytes} bytes"
            )
        parts = []
        while part := os.read(fd, limit_bytes):
            parts.append(part)
        return b"".join(parts)


def _note(book: Book, record: Record) -> None:
    if record.type is RecordType.OP:
        operation = decode_operation(record.payload)
        book.operations.append((record.seq, operation))
        book.count = max(book.count, operation.number)
    elif record.type is RecordType.CLR:
        undone = decode_compensation(record.payload).undone
        book.operations = [item for item in book.operations if item[0] != undone]
    elif record.type is RecordType.DEPENDS:
        book.depends.update(decode_dependences(record.payload))


def _replayed(number: int, at: datetime, operation: LoggedOperation) -> Replayed:
    is_gone = operation.kind in REMOVALS
    return Replayed(
        transaction=number,
        committed_at=at,
        kind=operation.kind,
        path=operation.path,
        mode=0 if is_gone else operation.mode,
        mtime_ns=operation.staged_mtime_ns,
        redo=operation.redo,
        digest=operation.digest,
        content=operation.content,
    )
