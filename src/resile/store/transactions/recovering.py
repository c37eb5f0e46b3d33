"""Takes back what was in flight when a process died; cut anywhere, it can be done again."""

import os
from collections.abc import Sequence

from resile.errors import TransactionError
from resile.store.transactions.engine import Engine
from resile.store.transactions.ledger import Book
from resile.store.transactions.model import Recovered
from resile.store.transactions.renaming import Renaming
from resile.store.transactions.staging import Stages
from resile.store.writeahead.steps import is_done

Paths = tuple[tuple[str, str], ...]


def recover(
    books: Sequence[Book],
    engine: Engine,
    stages: Stages,
    renaming: Renaming,
    *,
    torn_bytes: int,
) -> Recovered:
    """Abort what can be aborted; what cannot stays open, and is named.

    Raises:
        TransactionError: If the folder could not be worked on.
        StoreError: If the log could not be written.
    """
    try:
        hindered = _hindered(books, stages, renaming)
        for book in books:
            engine.ledger.adopt(book)
        undone = [book for book in books if book.number not in hindered]
        engine.abort_all(undone)
        stages.sweep(set(hindered))
    except OSError as exc:
        raise TransactionError(
            f"what was in flight cannot be taken back: {exc.strerror or exc}",
            hint="Check the disk, its space and the permissions; then open the log again.",
            is_transient=True,
        ) from exc
    return Recovered(
        undone=tuple(book.number for book in undone), hindered=hindered, torn_bytes=torn_bytes
    )


def _hindered(books: Sequence[Book], stages: Stages, renaming: Renaming) -> dict[int, Paths]:
    found = {book.number: paths for book in books if (paths := _faults(book, stages, renaming))}
    reason = "what depends on it cannot be taken back"
    by_number = {book.number: book for book in books}
    waiting = list(found)
    while waiting:
        for number in by_number[waiting.pop()].depends:
            if number in by_number and number not in found:
                found[number] = tuple((o.path, reason) for _, o in by_number[number].operations)
                waiting.append(number)
    return found


def _faults(book: Book, stages: Stages, renaming: Renaming) -> Paths:
    if not stages.open_existing(book):
        return tuple((o.path, "its stage is gone") for _, o in book.operations)
    slots = [int(name) for name in os.listdir(book.stage_fd) if name.isdigit()]  # noqa: PTH208
    book.count = max([book.count, *slots])
    done = [
        (book, operation)
        for _, operation in reversed(book.operations)
        if is_done(operation.step, book.stage_fd)
    ]
    return tuple(renaming.hindered(done))
