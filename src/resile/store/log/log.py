"""The record log: appends records in groups, each group durable with one sync, and reads them back."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resile.core.files import FileLock, lock_file, make_private_dir
from resile.errors import OperationError, StoreError
from resile.store.log.files import LogFiles, reason
from resile.store.log.head import HEAD_NAME, SLOT_BYTES
from resile.store.log.opening import Opened, make_segment, open_segments
from resile.store.log.records import Record, RecordType, encode_record
from resile.store.log.scan import records_in
from resile.store.log.segments import HEADER_BYTES, SegmentHeader, decode_header, segment_name

SEGMENT_BYTES_MAX = 16 << 20
"""A reader holds one segment in memory; the next record group after this begins a new one."""
_UNWRITTEN_BYTES_MAX = 4 << 20
"""What waits for a sync; more is written at once."""
LOCK_NAME = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Records that are written and synced together."""

    data: bytes
    first_seq: int
    last_seq: int
    previous: bytes
    chain: bytes


class RecordLog:
    """A log in a folder. Safe to share between threads; one process at a time.

    After an error of the disk it takes nothing more: what a failed sync has left in the file is
    unknown, and only reading it again from the front tells.

    Args:
        folder: Where; made if it is not there, for this user alone.
        segment_bytes_max: When a new segment is begun. Default 16 MiB.
        files: The effects.

    Raises:
        AlreadyRunningError: If another process has it open.
        StoreDamagedError: If a durable record is not what was written; nothing is changed then,
            but that a copy of the segment goes into the folder quarantine.
        NotAStoreError: If its format is one to come.
        StoreError: If it could not be read or made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        files: LogFiles | None = None,
    ) -> None:
        self._folder = folder
        self._segment_bytes_max = segment_bytes_max
        self._files = files or LogFiles()
        self._turn = threading.Condition()
        self._head_lock = threading.Lock()
        make_private_dir(folder)
        self._lock: FileLock = lock_file(folder / LOCK_NAME)
        self._fd = self._head_fd = -1
        try:
            self._take_over(open_segments(folder, self._files))
        except BaseException:
            self._release()
            raise

    def _take_over(self, opened: Opened) -> None:
        self.torn_bytes = opened.torn_bytes
        """What a crash had left of a group that was never durable; it was cut off."""
        self._segments = list(opened.segments)
        self._head, self._slot = opened.head, 1 - opened.slot
        self._exported_seq = opened.head.seq
        self._next_seq, self._chain = opened.next_seq, opened.chain
        self._durable_seq = opened.next_seq - 1
        self._end = opened.end
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._batch_first, self._batch_previous = self._next_seq, self._chain
        self._is_writing = False
        self._fault = ""
        self._head_fd = self._files.open(self._folder / HEAD_NAME)
        self._fd = self._files.open(self._folder / segment_name(self._segments[-1]))
        self._make_durable()

    def _make_durable(self) -> None:
        """Make durable what was read: the process that wrote it may have died before its sync."""
        try:
            self._files.sync(self._fd)
            self._files.sync(self._head_fd)
            if self._head.seq != self._durable_seq:
                self._note_head(self._durable_seq, self._chain)
                self._files.sync(self._head_fd)
                self._slot = 1 - self._slot
                self._exported_seq = self._durable_seq
        except OSError as exc:
            raise StoreError(
                f"the transaction log in {self._folder} could not be synced: {reason(exc)}",
                is_transient=True,
            ) from exc

    @property
    def log_id(self) -> bytes:
        """16 bytes that no other log has."""
        return self._head.log_id

    @property
    def durable_seq(self) -> int:
        """The last record that outlives a power cut; 0: none."""
        with self._turn:
            return self._durable_seq

    @property
    def first_seq(self) -> int:
        """The first record that is kept."""
        with self._turn:
            return self._segments[0]

    def append(self, kind: RecordType, transaction: int, payload: bytes = b"") -> int:
        """Append a record, and give its number; durable after `sync`.

        It waits for the disk only if 4 MiB wait to be written.

        Raises:
            StoreError: If the log has failed before.
        """
        with self._turn:
            self._check()
            if not self._unwritten:
                self._batch_first, self._batch_previous = self._next_seq, self._chain
            seq = self._next_seq
            data, self._chain = encode_record(
                Record(
                    type=kind,
                    seq=seq,
                    batch=self._batch_first,
                    transaction=transaction,
                    previous=self._chain,
                    payload=payload,
                ),
                self.log_id,
            )
            self._next_seq += 1
            self._unwritten.append(data)
            self._unwritten_bytes += len(data)
            is_full = self._unwritten_bytes > _UNWRITTEN_BYTES_MAX
        if is_full:
            self.sync(seq)
        return seq

    def sync(self, seq: int) -> None:
        """Return when a record is durable, with all before it.

        Whoever comes first writes for all who wait: one write and one sync.

        Raises:
            StoreError: If it could not be made durable; the log takes nothing more then.
        """
        while batch := self._next_batch(seq):
            try:
                self._write(batch)
            except (OSError, OperationError) as exc:
                raise StoreError(
                    f"the transaction log in {self._folder} could not be written: {reason(exc)}",
                    hint="Check the disk and its space; then open the log again.",
                    is_transient=True,
                ) from exc

    def export_head(self, seq: int) -> None:
        """Make it durable that the log goes at least to a record that is durable itself.

        Raises:
            StoreError: If that could not be written; the log takes nothing more then.
        """
        with self._head_lock:
            with self._turn:
                self._check()
                if self._exported_seq >= seq:
                    return
                written_seq, slot = self._head.seq, self._slot
            try:
                self._files.sync(self._head_fd)
            except OSError as exc:
                with self._turn:
                    self._fault = reason(exc)
                raise StoreError(
                    f"the head of the log in {self._folder} could not be written: {reason(exc)}",
                    hint="Check the disk and its space; then open the log again.",
                    is_transient=True,
                ) from exc
            with self._turn:
                self._exported_seq = written_seq
                if self._head.seq == written_seq:
                    self._slot = 1 - slot

    def read(self, first_seq: int = 0) -> Iterator[Record]:
        """Give what is durable now, from a record on, in order. Holds one segment in memory.

        Raises:
            StoreDamagedError: If a segment has changed since.
            StoreError: If one could not be read; also if it was dropped meanwhile.
        """
        with self._turn:
            segments, durable_seq = tuple(self._segments), self._durable_seq
        for number, first in enumerate(segments):
            following = segments[number + 1] if number + 1 < len(segments) else durable_seq + 1
            if following > first_seq:
                for record in self._read_segment(first):
                    if first_seq <= record.seq < following:
                        yield record

    def drop_before(self, seq: int) -> int:
        """Remove the closed segments that hold nothing from a record on; give their number.

        Raises:
            StoreError: If that failed; then they are removed when the log is opened again.
        """
        with self._head_lock, self._turn:
            self._check()
            kept = next(
                index
                for index, following in enumerate([*self._segments[1:], seq + 1])
                if following > seq
            )
            dropped, self._segments = self._segments[:kept], self._segments[kept:]
            if not dropped:
                return 0
            try:
                self._note_head(self._head.seq, self._head.chain)
                self._files.sync(self._head_fd)
                self._slot = 1 - self._slot
                for first in dropped:
                    self._files.remove(self._folder / segment_name(first))
                self._files.sync_folder(self._folder)
            except OSError as exc:
                self._fault = reason(exc)
                raise StoreError(
                    f"old segments of the log in {self._folder} could not be dropped: "
                    f"{reason(exc)}",
                    is_transient=True,
                ) from exc
            return len(dropped)

    def close(self) -> None:
        """Let go of the log; what was not synced is lost. May be called twice."""
        with self._turn:
            while self._is_writing:
                self._turn.wait()
            self._fault = self._fault or "it is closed"
            self._release()

    def _release(self) -> None:
        for fd in {self._fd, self._head_fd} - {-1}:
            self._files.close(fd)
        self._fd = self._head_fd = -1
        self._lock.close()

    def _check(self) -> None:
        if self._fault:
            raise StoreError(
                f"the transaction log in {self._folder} takes nothing more: {self._fault}",
                hint="Open it again: that finds what is durable, and undoes what was in flight.",
            )

    def _next_batch(self, seq: int) -> _Batch | None:
        """Wait until it is our turn to write, or a record is durable: then None."""
        with self._turn:
            while self._is_writing and self._durable_seq < seq and not self._fault:
                self._turn.wait()
            if self._durable_seq >= seq:
                return None
            self._check()
            self._is_writing = True
            batch = _Batch(
                data=b"".join(self._unwritten),
                first_seq=self._batch_first,
                last_seq=self._next_seq - 1,
                previous=self._batch_previous,
                chain=self._chain,
            )
            self._unwritten.clear()
            self._unwritten_bytes = 0
            return batch

    def _write(self, batch: _Batch) -> None:
        fault = "it failed"
        try:
            is_full = self._end + len(batch.data) > self._segment_bytes_max
            if is_full and self._end > HEADER_BYTES:
                self._begin_segment(batch)
            self._files.write(self._fd, batch.data, self._end)
            self._files.sync(self._fd)
            self._end += len(batch.data)
            with self._turn:
                self._durable_seq = batch.last_seq
                self._note_head(batch.last_seq, batch.chain)
            fault = ""
        except (OSError, OperationError) as exc:
            fault = reason(exc)
            raise
        finally:
            with self._turn:
                self._fault = self._fault or fault
                self._is_writing = False
                self._turn.notify_all()

    def _begin_segment(self, batch: _Batch) -> None:
        """Begin a new segment; all that is in the one before is durable."""
        header = SegmentHeader(
            log_id=self.log_id, first_seq=batch.first_seq, previous=batch.previous
        )
        name = make_segment(self._folder, header, self._files)
        fd = self._files.open(self._folder / name)
        with self._turn:
            self._files.close(self._fd)
            self._fd = fd
            self._segments.append(batch.first_seq)
        self._end = HEADER_BYTES

    def _note_head(self, seq: int, chain: bytes) -> None:
        """Write the head, not durable: it outlives this process, and what it says is durable."""
        head = replace(
            self._head,
            turn=self._head.turn + 1,
            first_seq=self._segments[0],
            seq=seq,
            chain=chain,
        )
        self._files.write(self._head_fd, head.encode(), self._slot * SLOT_BYTES)
        self._head = head

    def _read_segment(self, first: int) -> Iterator[Record]:
        name = segment_name(first)
        try:
            data = (self._folder / name).read_bytes()
        except OSError as exc:
            raise StoreError(f"segment {name} of the log cannot be read: {reason(exc)}") from exc
        for record, _, _ in records_in(data, decode_header(data, name), name):
            yield record
