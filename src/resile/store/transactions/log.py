"""The transaction log of a folder: opens it, undoes what was in flight, and begins transactions."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.trees import FOLDER_FLAGS
from resile.errors import TransactionError
from resile.store.log import LogFiles, RecordLog
from resile.store.transactions.engine import Engine
from resile.store.transactions.ledger import Ledger
from resile.store.transactions.model import BlobSink, Committed, Noted, Recovered, Replayed
from resile.store.transactions.reading import commits, find_in_flight, first_needed, replay
from resile.store.transactions.recovering import recover
from resile.store.transactions.renaming import Renaming
from resile.store.transactions.staging import Stages
from resile.store.transactions.transaction import FileTransaction
from resile.store.writeahead.files import TreeFiles

SEGMENT_BYTES_MAX = 16 << 20


class TransactionLog:
    """The log of changes to a folder. Safe to share between threads; one process at a time.

    Opening it recovers: transactions that were in flight when the last process died are taken back,
    from the last operation on; committed ones are whole. It can be cut anywhere and done again.

    Args:
        folder: What is worked on. Its stage, `.resile-tx-ID`, is made in it.
        state: Where the log is kept; made if it is not there.
        blobs: Where contents beyond 16 KiB are kept for replays. None: they are not kept; rollback
            does not need them.
        segment_bytes_max: When the log begins a new segment. Default 16 MiB.
        clock: For the times of commits.
        files: The effects on the folder.
        log_files: The effects on the log.

    Raises:
        AlreadyRunningError: If another process has it open.
        StoreDamagedError: If the log is not what was written; nothing is changed then.
        NotAStoreError: If its format is one to come.
        StoreError: If it could not be read or written.
        TransactionError: If the folder cannot be opened or worked on.
    """

    def __init__(
        self,
        folder: Path,
        state: Path,
        *,
        blobs: BlobSink | None = None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        clock: Clock = SYSTEM_CLOCK,
        files: TreeFiles | None = None,
        log_files: LogFiles | None = None,
    ) -> None:
        self._root_fd = _open_folder(folder)
        self._log: RecordLog | None = None
        try:
            self._log = RecordLog(state, segment_bytes_max=segment_bytes_max, files=log_files)
            self._engine = self._recover(self._log, blobs, clock, files or TreeFiles())
        except BaseException:
            self._release()
            raise

    def _recover(
        self, log: RecordLog, blobs: BlobSink | None, clock: Clock, files: TreeFiles
    ) -> Engine:
        found = find_in_flight(log.read())
        self._origins = found.origins
        stages = Stages(root_fd=self._root_fd, log_id=log.log_id, blobs=blobs, files=files)
        renaming = Renaming(root_fd=self._root_fd, files=files)
        engine = Engine(
            log=log,
            ledger=Ledger(found.next_number),
            stages=stages,
            renaming=renaming,
            files=files,
            clock=clock,
            last_commit=found.last_commit,
        )
        self.recovered: Recovered = recover(
            list(found.books.values()), engine, stages, renaming, torn_bytes=log.torn_bytes
        )
        """What was found and done at the opening."""
        return engine

    def begin(self, depends_on: Iterable[FileTransaction] = ()) -> FileTransaction:
        """Begin a transaction.

        Args:
            depends_on: Transactions whose rollback shall roll this one back too. It also depends
                on those in whose new folders it works, and on those whose files it reads.

        Raises:
            ConflictError: If one of these was rolled back.
            TransactionError: If 256 are open.
        """
        books = [other._book for other in depends_on]  # noqa: SLF001 - the two are one
        return FileTransaction(self._engine, self._engine.ledger.begin(books), self._root_fd)

    def open_transactions(self) -> list[FileTransaction]:
        """Give those that are open, oldest first; after a crash, those that could not be undone."""
        books = self._engine.ledger.open_books()
        return [FileTransaction(self._engine, book, self._root_fd) for book in books]

    def note(self, origin: str, changes: Iterable[Noted], *, at: datetime) -> bool:
        """Append what somebody else has committed to the folder already; durable when it returns.

        Idempotent: what was noted under a name is not looked at again. It cannot be rolled back,
        and no path is claimed by it. Not to be called by two threads for one name.

        Args:
            origin: Names it; unique, not empty.
            changes: What became of each path, in an order in which it can be done again.
            at: When it was committed; a time before the last commit of the log counts as that.

        Returns:
            False: it was noted before.

        Raises:
            TransactionError: If 256 transactions are open.
            StoreError: If the log could not be written.
        """
        self._opened()
        if origin in self._origins:
            return False
        self._engine.note(origin, changes, at)
        self._origins.add(origin)
        return True

    def commits(self, *, until: datetime | None = None) -> Iterator[Committed]:
        """Give the committed transactions, noted ones among them, in the order of their commits.

        Args:
            until: What was committed later is left out. None: nothing is.

        Raises:
            StoreDamagedError: If the log has changed since.
            StoreError: If it could not be read.
        """
        return commits(self._opened().read(), until)

    def replay(self, *, until: datetime | None = None) -> Iterator[Replayed]:
        """Give the operations of committed transactions, in the order of their commits.

        Done to the folder as it was when the log began (or at a snapshot, less what came before it),
        they make it what it was at a point in time, if nothing was noted: see `commits`.

        Args:
            until: What was committed later is left out. None: nothing is.

        Raises:
            StoreDamagedError: If the log has changed since.
            StoreError: If it could not be read.
        """
        return replay(self._opened().read(), until)

    def trim(self, before: datetime) -> int:
        """Drop the segments that only hold what was committed before a time; give their number.

        Raises:
            StoreError: If that failed.
        """
        log = self._opened()
        return log.drop_before(first_needed(log.read(), before))

    def close(self) -> None:
        """Let go. What is open then is taken back when it is opened again. May be called twice."""
        if self._log is not None:
            self._engine.let_go()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self) -> RecordLog:
        if self._log is None:
            raise TransactionError("the transaction log is closed", hint="Open it again.")
        return self._log

    def _release(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, FOLDER_FLAGS)
    except OSError as exc:
        raise TransactionError(
            f"{folder} cannot be worked on: {exc.strerror}",
            hint="Give a folder that is there; a link is not followed.",
        ) from exc
