"""Opens the folder of a log: makes it, checks all of it, cuts a torn tail off, keeps what is rotten."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from resile.core.files import make_private_dir, write_durable
from resile.errors import OperationError, StoreDamagedError, StoreError
from resile.store.log.files import LogFiles, reason
from resile.store.log.head import HEAD_NAME, Head, decode_head, new_head_file
from resile.store.log.scan import Scanned, check_follows, scan_segment
from resile.store.log.segments import (
    LOG_ID_BYTES,
    SegmentHeader,
    damaged,
    is_segment_name,
    segment_name,
)

QUARANTINE_NAME = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is in a log.

    Args:
        segments: The first record of each, ascending.
        head: What its head says.
        slot: Where that stands.
        next_seq: Of the record that comes next.
        chain: The chain's value before that.
        end: Where it goes in the last segment, bytes.
        torn_bytes: How much was cut off there.
    """

    segments: tuple[int, ...]
    head: Head
    slot: int
    next_seq: int
    chain: bytes
    end: int
    torn_bytes: int


def open_segments(folder: Path, files: LogFiles) -> Opened:
    """Check a log, and make it if there is none.

    Raises:
        StoreDamagedError: If a durable record is missing or changed.
        NotAStoreError: If its format is one to come.
        StoreError: If it could not be read or made.
    """
    try:
        head, slot = _read_head(folder, files)
        segments = _segments_of(folder, head, files)
        scanned = _scan_all(folder, segments, head)
        torn_bytes = scanned.size - scanned.end
        if torn_bytes:
            _cut(folder / segment_name(segments[-1]), scanned.end, files)
    except StoreError:
        raise
    except (OSError, OperationError) as exc:
        raise StoreError(
            f"the transaction log in {folder} cannot be opened: {reason(exc)}",
            hint=f"Check the permissions of {folder} and the space on its disk.",
            is_transient=True,
        ) from exc
    return Opened(
        segments=tuple(segments),
        head=head,
        slot=slot,
        next_seq=scanned.next_seq,
        chain=scanned.chain,
        end=scanned.end,
        torn_bytes=torn_bytes,
    )


def make_segment(folder: Path, header: SegmentHeader, files: LogFiles) -> str:
    """Make a segment without records, all or nothing; durable. Give its name.

    Raises:
        OperationError: If it could not be written.
    """
    name = segment_name(header.first_seq)
    write_durable(folder / name, header.encode(), files=files)
    return name


def _read_head(folder: Path, files: LogFiles) -> tuple[Head, int]:
    """Read the head; of a folder where nothing is, make it: it comes before the first segment."""
    for leftover in folder.glob(".*.tmp"):
        files.remove(leftover)
    try:
        return decode_head((folder / HEAD_NAME).read_bytes())
    except FileNotFoundError:
        pass
    if any(is_segment_name(path.name) for path in folder.iterdir()):
        decode_head(b"")
    log_id = os.urandom(LOG_ID_BYTES)
    head = Head(log_id=log_id, turn=1, first_seq=1, seq=0, chain=log_id)
    write_durable(folder / HEAD_NAME, new_head_file(head), files=files)
    return head, 0


def _segments_of(folder: Path, head: Head, files: LogFiles) -> list[int]:
    """List the segments that are kept; remove those that were to be dropped."""
    found = sorted(int(p.stem) for p in folder.iterdir() if is_segment_name(p.name))
    segments = [first for first in found if first >= head.first_seq]
    for first in found[: len(found) - len(segments)]:
        files.remove(folder / segment_name(first))
    if not segments and head.seq == 0:
        header = SegmentHeader(log_id=head.log_id, first_seq=1, previous=head.log_id)
        make_segment(folder, header, files)
        return [1]
    if not segments or segments[0] != head.first_seq:
        raise damaged(segment_name(head.first_seq), 0, "it is missing")
    return segments


def _scan_all(folder: Path, segments: list[int], head: Head) -> Scanned:
    """Check every segment, and that each continues the one before; give what the last one holds."""
    scanned: Scanned | None = None
    for first in segments:
        path = folder / segment_name(first)
        data = path.read_bytes()
        try:
            following = scan_segment(data, path.name, head, is_last=first == segments[-1])
            check_follows(path.name, first, following.header, scanned, head)
        except StoreDamagedError:
            _keep_copy(folder / QUARANTINE_NAME, path.name, data)
            raise
        scanned = following
    if scanned is None or scanned.next_seq <= head.seq:
        last = segment_name(segments[-1])
        at = scanned.end if scanned is not None else 0
        raise damaged(last, at, f"it ends before record {head.seq}, which was durable")
    return scanned


def _cut(path: Path, end: int, files: LogFiles) -> None:
    fd = files.open(path)
    try:
        files.truncate(fd, end)
    finally:
        files.close(fd)


def _keep_copy(folder: Path, name: str, data: bytes) -> None:
    """Keep what was found; that it could not be kept must not hide what was found."""
    with contextlib.suppress(OperationError):
        make_private_dir(folder)
        if not (folder / name).exists():
            write_durable(folder / name, data)
