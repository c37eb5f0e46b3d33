"""The header of a segment, and the names of segments."""

import struct
from dataclasses import dataclass

import google_crc32c

from resile.errors import NotAStoreError, StoreDamagedError

VERSION = 1
HEADER_BYTES = 64
LOG_ID_BYTES = 16
SUFFIX = ".log"
_MAGIC = b"RSLTXLOG"
_HEADER = struct.Struct("<8sH6x16sQ16s4x")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """The first 64 bytes of a segment.

    Args:
        log_id: 16 random bytes: the log that it belongs to.
        first_seq: The number of its first record.
        previous: The chain's value before that record; in the first segment, the log's id.
    """

    log_id: bytes
    first_seq: int
    previous: bytes

    def encode(self) -> bytes:
        """Write it."""
        data = _HEADER.pack(_MAGIC, VERSION, self.log_id, self.first_seq, self.previous)
        return data + _CHECKSUM.pack(google_crc32c.value(data))


def decode_header(data: bytes, name: str) -> SegmentHeader:
    """Read a segment's header.

    Raises:
        StoreDamagedError: If it is none. Segments get their names when their header is durable,
            so no crash leaves half a header behind.
        NotAStoreError: If its version is one to come.
    """
    head = data[:HEADER_BYTES]
    checked, checksum = head[: _HEADER.size], head[_HEADER.size :]
    is_whole = len(head) == HEADER_BYTES and head[:8] == _MAGIC
    if not is_whole or checksum != _CHECKSUM.pack(google_crc32c.value(checked)):
        raise damaged(name, 0, "its header is damaged")
    _, version, log_id, first_seq, previous = _HEADER.unpack(checked)
    if version != VERSION:
        raise NotAStoreError(
            f"{name} has version {version} of the log's format; this resile knows {VERSION}",
            hint="a newer resile reads it: pip install -U resile",
        )
    return SegmentHeader(log_id=log_id, first_seq=first_seq, previous=previous)


def segment_name(first_seq: int) -> str:
    """Name a segment by its first record."""
    return f"{first_seq:016d}{SUFFIX}"


def is_segment_name(name: str) -> bool:
    """Tell whether a file is called as a segment is."""
    stem = name.removesuffix(SUFFIX)
    return name == f"{stem}{SUFFIX}" and len(stem) == 16 and stem.isascii() and stem.isdigit()


def damaged(name: str, offset: int, what: str) -> StoreDamagedError:
    """Make the error for a segment that is not what was written."""
    return StoreDamagedError(
        f"segment {name} of the transaction log is damaged at byte {offset}: {what}",
        name=name,
        hint="Nothing was cut off, and a copy is in its folder quarantine. Put a good copy of the"
        " segment back, or move the log's folder away: the files in the tree are as they are.",
    )
