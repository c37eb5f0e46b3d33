"""One record of the log, byte by byte, as docs/reference/transaction-log-format.md has it."""

import struct
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c
from blake3 import blake3

CHAIN_BYTES = 16
PAYLOAD_BYTES_MAX = 1 << 20
"""Content inline is at most 16 KiB and a path 4 KiB; whatever claims to be bigger is damaged."""
RECORD_MAGIC = b"RSLR"

_HEAD = struct.Struct("<4sII")
_BODY = struct.Struct("<B7xQQQ16s")
HEAD_BYTES = _HEAD.size
BODY_BYTES_MIN = _BODY.size
_BODY_BYTES_MAX = BODY_BYTES_MIN + PAYLOAD_BYTES_MAX


class RecordType(IntEnum):
    """What a record says."""

    BEGIN = 1
    OP = 2
    SAVEPOINT = 3
    CLR = 4
    """A compensation: one operation was taken back."""
    COMMIT = 5
    ABORT = 6
    DEPENDS = 7
    NOTED = 8
    """What a path became by somebody else's doing, which is not this log's to take back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record.

    Args:
        type: What it says.
        seq: 1, 2, 3... without gaps, over all segments.
        batch: The number of the first record that was written together with this one.
        transaction: Whose it is.
        previous: The chain's value before it, 16 bytes.
        payload: By its type.
    """

    type: RecordType
    seq: int
    batch: int
    transaction: int
    previous: bytes
    payload: bytes = b""


def encode_record(record: Record, log_id: bytes) -> tuple[bytes, bytes]:
    """Write a record; give its bytes and the chain's value after it.

    Raises:
        AssertionError: If its payload is longer than 1 MiB.
    """
    if len(record.payload) > PAYLOAD_BYTES_MAX:
        raise AssertionError(f"a payload of {len(record.payload)} bytes")
    body = (
        _BODY.pack(record.type, record.seq, record.batch, record.transaction, record.previous)
        + record.payload
    )
    return (
        _HEAD.pack(RECORD_MAGIC, len(body), _checksum(log_id, body)) + body,
        chain_after(record.previous, body),
    )


def decode_record(
    data: bytes | memoryview, offset: int, log_id: bytes
) -> tuple[Record, bytes, int] | None:
    """Read the record at an offset; give it, the chain's value after it, and where it ends.

    None if there is no whole record of this log there. That it continues the chain is for the
    caller to compare.
    """
    if offset + HEAD_BYTES > len(data):
        return None
    magic, length, checksum = _HEAD.unpack_from(data, offset)
    start, end = offset + HEAD_BYTES, offset + HEAD_BYTES + length
    if magic != RECORD_MAGIC or not BODY_BYTES_MIN <= length <= _BODY_BYTES_MAX or end > len(data):
        return None
    body = bytes(data[start:end])
    if _checksum(log_id, body) != checksum:
        return None
    number, seq, batch, transaction, previous = _BODY.unpack_from(body)
    try:
        kind = RecordType(number)
    except ValueError:
        return None
    record = Record(
        type=kind,
        seq=seq,
        batch=batch,
        transaction=transaction,
        previous=previous,
        payload=body[BODY_BYTES_MIN:],
    )
    return record, chain_after(previous, body), end


def chain_after(previous: bytes, body: bytes) -> bytes:
    """Give the chain's value after a record."""
    return blake3(previous).update(body).digest(CHAIN_BYTES)


def _checksum(log_id: bytes, body: bytes) -> int:
    """Sum up a body; the log's id before it keeps what users store from looking like a record."""
    return int(google_crc32c.extend(google_crc32c.value(log_id), body))
