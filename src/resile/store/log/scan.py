"""Reads segments, and tells a torn tail from rot.

A crash can only take what was being written: the last batch, of which nobody was told that it is
durable. It is torn if nothing of a later batch is behind it and the head does not know it. All
other damage is rot: something durable has changed since, and nothing must be cut off then.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from resile.store.log.head import Head
from resile.store.log.records import RECORD_MAGIC, Record, decode_record
from resile.store.log.segments import HEADER_BYTES, SegmentHeader, damaged, decode_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What is in a segment.

    Args:
        header: Its header.
        next_seq: Of the record that would come next.
        chain: The chain's value after its last whole record.
        end: Where that ends, in bytes; what is behind is torn.
        size: Of the file, in bytes.
    """

    header: SegmentHeader
    next_seq: int
    chain: bytes
    end: int
    size: int


def scan_segment(data: bytes, name: str, head: Head, *, is_last: bool) -> Scanned:
    """Check a whole segment.

    Args:
        data: Its content.
        name: Its name.
        head: What is known to be durable.
        is_last: No segment comes after it; in an earlier one nothing can be torn.

    Raises:
        StoreDamagedError: If anything durable was changed.
        NotAStoreError: If its version is one to come.
    """
    header = decode_header(data, name)
    seq, chain, end = header.first_seq, header.previous, HEADER_BYTES
    for record, after, at in records_in(data, header, name):
        if record.seq == head.seq and after != head.chain:
            raise damaged(name, end, f"record {record.seq} is not the one that was written")
        seq, chain, end = record.seq + 1, after, at
    if end < len(data):
        if not is_last or seq <= head.seq:
            raise damaged(name, end, f"record {seq} was durable")
        if _is_followed(data, end, header, seq):
            raise damaged(name, end, f"record {seq} is bad, and later ones are good")
    return Scanned(header=header, next_seq=seq, chain=chain, end=end, size=len(data))


def records_in(
    data: bytes, header: SegmentHeader, name: str
) -> Iterator[tuple[Record, bytes, int]]:
    """Give the records from the front up to the first bad one: each with chain and end after it.

    Raises:
        StoreDamagedError: If a whole record does not continue the chain.
    """
    view = memoryview(data)
    seq, chain, offset = header.first_seq, header.previous, HEADER_BYTES
    while found := decode_record(view, offset, header.log_id):
        record, after, end = found
        if record.seq != seq or record.previous != chain:
            raise damaged(name, offset, f"record {record.seq} does not continue the chain")
        yield record, after, end
        seq, chain, offset = seq + 1, after, end


def check_follows(
    name: str, first: int, header: SegmentHeader, before: Scanned | None, head: Head
) -> None:
    """Refuse a segment that is not the one which comes after another one, or first in its log.

    Raises:
        StoreDamagedError: If it is not.
    """
    if header.log_id != head.log_id or header.first_seq != first:
        raise damaged(name, 0, "it belongs to another log, or elsewhere in this one")
    if before is not None and (before.next_seq, before.chain) != (first, header.previous):
        raise damaged(name, 0, "it does not continue the segment before")


def _is_followed(data: bytes, offset: int, header: SegmentHeader, seq: int) -> bool:
    """Tell whether a record of a later batch stands behind a bad one."""
    at = data.find(RECORD_MAGIC, offset + 1)
    while at >= 0:
        found = decode_record(data, at, header.log_id)
        if found is not None and found[0].batch > seq:
            return True
        at = data.find(RECORD_MAGIC, at + 1)
    return False
