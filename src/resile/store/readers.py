"""Threads that read files into packs, a batch of one folder at a time."""

import contextlib
import os
import queue
import threading
from dataclasses import dataclass, field

from resile.errors import ResileError
from resile.store.format.frames import FileKind
from resile.store.ingest import Ingest, Packer
from resile.store.model import Entry, Unread
from resile.store.reading import ReadInPart, read_entry
from resile.store.walk import Row

WORKERS = 2
"""Reading, hashing and compressing let go of the interpreter's lock: two threads do 1.6 times
what one does (measured), more add little."""
BATCH_ROWS, BATCH_BYTES = 128, 4 << 20
_QUEUED_BATCHES = 64
"""Each keeps a descriptor open; so much work is always ready."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Entries of one folder that are read together, and what came of it.

    Args:
        folder_fd: The folder; the reader closes it.
        path: The folder's path from the source on; empty for the source.
        rows: What to read.
        entries: What was read; complete when `done` is set.
        unread: What was not.
        done: Set at the end.
    """

    folder_fd: int
    path: str
    rows: list[Row]
    entries: list[Entry] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Readers:
    """A pool of reading threads over one ingest; to be left by `finish` or `abandon`."""

    def __init__(self, ingest: Ingest, *, workers: int = WORKERS) -> None:
        self._ingest = ingest
        self._queue: queue.Queue[Batch | None] = queue.Queue(_QUEUED_BATCHES)
        self._failure: BaseException | None = None
        self._is_abandoned = False
        self._threads = [
            threading.Thread(target=self._work, name=f"resile-reader-{i}", daemon=True)
            for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Batch) -> None:
        """Have a batch read; waits while many are queued.

        Raises:
            ResileError: What a thread failed with; nothing more is read then.
        """
        self._queue.put(batch)
        self.check()

    def check(self) -> None:
        """Raise what a thread failed with."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until all is read and every pack is published.

        Raises:
            ResileError: What a thread failed with.
        """
        self._stop()
        self.check()

    def abandon(self) -> None:
        """Stop, and throw away the packs that are open. Idempotent."""
        self._is_abandoned = True
        self._stop()

    def _stop(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _work(self) -> None:
        packer = Packer(self._ingest, FileKind.DATA_PACK)
        try:
            while (batch := self._queue.get()) is not None:
                self._read(batch, packer)
            if self._failure is None and not self._is_abandoned:
                packer.finish()
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            self._failure = exc
        finally:
            packer.abandon()

    def _read(self, batch: Batch, packer: Packer) -> None:
        """Read a batch; after a failure only close it, so that nobody waits for it."""
        try:
            if self._failure is None and not self._is_abandoned:
                read_batch(batch, packer)
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            self._failure = exc
        finally:
            with contextlib.suppress(OSError):
                os.close(batch.folder_fd)
            batch.done.set()


def read_batch(batch: Batch, packer: Packer) -> None:
    """Read the entries of a batch; what cannot be read is noted.

    Raises:
        ResileError: If the store cannot be written.
    """
    for row in batch.rows:
        try:
            entry = read_entry(batch.folder_fd, row.name, row.status, packer.put)
        except ReadInPart as exc:
            batch.entries.append(exc.entry)
            batch.unread.append(_unread(batch, row, exc.reason, is_kept=True))
        except FileNotFoundError:
            continue  # It went in between: then it is not there.
        except ResileError:
            raise
        except OSError as exc:
            batch.unread.append(_unread(batch, row, exc.strerror or str(exc)))
        else:
            if entry is not None:
                batch.entries.append(entry)


def path_text(path: str) -> str:
    """Write a path for people and JSON, bytes that are no UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unread(batch: Batch, row: Row, reason: str, *, is_kept: bool = False) -> Unread:
    path = f"{batch.path}/{row.name}" if batch.path else row.name
    return Unread(path=path_text(path), reason=reason, is_kept=is_kept)
