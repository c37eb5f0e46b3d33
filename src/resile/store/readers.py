"""Files read into packs, a batch of one folder at a time: by threads here, and by processes if it is much."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from resile.errors import OperationError, ResileError
from resile.store.format.frames import FileKind
from resile.store.format.trees import Plain, entry_to_json
from resile.store.ingest import Ingest, Packer
from resile.store.model import Unread
from resile.store.reading import Put, ReadInPart, read_entry

READERS = 2
"""Threads, and processes. Reading, hashing and compressing let go of the interpreter's lock: two
threads do 1.6 times what one does, two processes 1.9 times (measured), more add little."""
BATCH_ROWS, BATCH_BYTES = 128, 4 << 20
_QUEUED_BATCHES = 64
"""Each keeps a descriptor open; so much work is always ready."""
MANY_ROWS, MANY_BYTES = 2_000, 256 << 20
"""From here on processes read: what it takes to start them (0.1 s each) comes back twice."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Entries of one folder that are read together, and what came of it.

    Args:
        folder_fd: The folder; closed when it is read.
        path: The folder's path from the source on; empty for the source.
        rows: What to read: names and modes.
        size_bytes: How much that is, at the last look.
        entries: What was read, by name; complete when `done` is set.
        unread: What was not.
        done: Set at the end.
    """

    folder_fd: int
    path: str
    rows: Sequence[tuple[str, int]]
    size_bytes: int = 0
    entries: dict[str, Plain] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Reader(Protocol):
    """Reads batches into packs of its own. Not thread-safe; to be left by `finish` or `abandon`."""

    def read(self, batch: Batch) -> None:
        """Read a batch; what cannot be read is noted.

        Raises:
            ResileError: If the store cannot be written.
        """
        ...

    def finish(self) -> None:
        """Publish every pack.

        Raises:
            ResileError: If the store cannot be written.
        """
        ...

    def abandon(self) -> None:
        """Throw away the pack that is open. Idempotent; nothing happens after `finish`."""
        ...


class NearReader:
    """Reads in this process."""

    def __init__(self, ingest: Ingest) -> None:
        self._packer = Packer(ingest, FileKind.DATA_PACK)

    def read(self, batch: Batch) -> None:
        """Read a batch."""
        read_batch(batch, self._packer.put)

    def finish(self) -> None:
        """Publish the pack."""
        self._packer.finish()

    def abandon(self) -> None:
        """Throw it away."""
        self._packer.abandon()


class Readers:
    """Reads for one ingest, in threads, later in processes; to be left by `finish` or `abandon`."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._queue: queue.Queue[Batch | None] = queue.Queue(_QUEUED_BATCHES)
        self._threads: list[threading.Thread] = []
        self._rows = self._bytes = 0
        self._is_much = self._is_far = False
        self._failure: BaseException | None = None
        self._is_ended = self._is_abandoned = False

    def submit(self, batch: Batch) -> None:
        """Have a batch read; waits while many are queued.

        Raises:
            ResileError: What a reader failed with; nothing more is read then.
        """
        if not self._threads:
            self._start(self._read_here)
        self._rows += len(batch.rows)
        self._bytes += batch.size_bytes
        if not self._is_much and (self._rows > MANY_ROWS or self._bytes > MANY_BYTES):
            self._is_much = True
            self._start(self._read_far)
        self._queue.put(batch)
        self.check()

    def check(self) -> None:
        """Raise what a reader failed with."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Say that no more comes: packs are published as soon as all is read. Idempotent."""
        if not self._is_ended:
            self._is_ended = True
            for _ in self._threads:
                self._queue.put(None)

    def finish(self) -> None:
        """Wait until all is read and every pack is published.

        Raises:
            ResileError: What a reader failed with.
        """
        self._stop()
        self.check()

    def abandon(self) -> None:
        """Stop, and throw away the packs that are open. Idempotent."""
        self._is_abandoned = True
        self._stop()

    def _start(self, work: Callable[[], None]) -> None:
        for _ in range(READERS):
            name = f"resile-reader-{len(self._threads)}"
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _stop(self) -> None:
        self.end()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _read_here(self) -> None:
        self._work(NearReader(self._ingest), lambda: self._is_far)

    def _read_far(self) -> None:
        # What loads it is needed here alone.
        from resile.store.far import FarReader

        try:
            reader = FarReader(self._ingest)
        except (OperationError, OSError):
            return  # No process can be started, or it cannot have the store: the threads go on.
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            self._failure = exc
            return
        self._is_far = True
        self._work(reader, lambda: False)

    def _work(self, reader: Reader, is_over: Callable[[], bool]) -> None:
        try:
            while not is_over() and (batch := self._queue.get()) is not None:
                self._read(batch, reader)
            if self._failure is None and not self._is_abandoned:
                reader.finish()
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            self._failure = exc
        finally:
            reader.abandon()

    def _read(self, batch: Batch, reader: Reader) -> None:
        """Read a batch; after a failure only close it, so that nobody waits for it."""
        try:
            if self._failure is None and not self._is_abandoned:
                reader.read(batch)
        except BaseException as exc:  # noqa: BLE001 - the thread that waits for us raises it
            self._failure = exc
        finally:
            with contextlib.suppress(OSError):
                os.close(batch.folder_fd)
            batch.done.set()


def read_batch(batch: Batch, put: Put) -> None:
    """Read the entries of a batch; what cannot be read is noted.

    Args:
        batch: Which.
        put: Where their content goes.

    Raises:
        ResileError: If the store cannot be written.
    """
    for name, mode in batch.rows:
        try:
            entry = read_entry(batch.folder_fd, name, mode, put)
        except ReadInPart as exc:
            batch.entries[name] = entry_to_json(exc.entry)
            batch.unread.append(_unread(batch, name, exc.reason, is_kept=True))
        except FileNotFoundError:
            continue  # It went in between: then it is not there.
        except ResileError:
            raise
        except OSError as exc:
            batch.unread.append(_unread(batch, name, exc.strerror or str(exc)))
        else:
            if entry is not None:
                batch.entries[name] = entry_to_json(entry)


def path_text(path: str) -> str:
    """Write a path for people and JSON, bytes that are no UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _unread(batch: Batch, name: str, reason: str, *, is_kept: bool = False) -> Unread:
    path = f"{batch.path}/{name}" if batch.path else name
    return Unread(path=path_text(path), reason=reason, is_kept=is_kept)
