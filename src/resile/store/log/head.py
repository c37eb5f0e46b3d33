"""The head of the log's chain, kept beside it: without it a cut log would look like a shorter one.

The file has two slots that are written in turns, so that a torn write leaves the other one.
"""

import struct
from dataclasses import dataclass

import google_crc32c

from resile.errors import StoreDamagedError
from resile.store.log.segments import VERSION

HEAD_NAME = "head"
SLOT_BYTES = 4096
"""A page: what a disk may tear is in one slot."""
_MAGIC = b"RSLTXHED"
_SLOT = struct.Struct("<8sH6x16sQQQ16s4x")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far the log goes at least.

    Args:
        log_id: Which log.
        turn: Counts the writes of heads.
        first_seq: The first record that is kept.
        seq: The last record that is durable; 0: none.
        chain: The chain's value after it; the log's id where there is none.
    """

    log_id: bytes
    turn: int
    first_seq: int
    seq: int
    chain: bytes

    def encode(self) -> bytes:
        """Write it as one slot begins."""
        data = _SLOT.pack(
            _MAGIC, VERSION, self.log_id, self.turn, self.first_seq, self.seq, self.chain
        )
        return data + _CHECKSUM.pack(google_crc32c.value(data))


def new_head_file(head: Head) -> bytes:
    """Write a file with one head."""
    return head.encode().ljust(2 * SLOT_BYTES, b"\0")


def decode_head(data: bytes) -> tuple[Head, int]:
    """Read the newer one of the two heads; give it and the number of its slot, 0 or 1.

    Raises:
        StoreDamagedError: If there is none.
    """
    slots = [_decode_slot(data[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
    heads = [(head, number) for number, head in enumerate(slots) if head is not None]
    if not heads:
        raise StoreDamagedError(
            "the head of the transaction log is damaged",
            name=HEAD_NAME,
            hint="Without it nobody can tell whether the log was cut. Put a good copy of the file"
            " head back, or move the log's folder away: the files in the tree are as they are.",
        )
    return max(heads, key=lambda found: found[0].turn)


def _decode_slot(slot: bytes) -> Head | None:
    checked = slot[: _SLOT.size]
    checksum = slot[_SLOT.size : _SLOT.size + _CHECKSUM.size]
    if len(checked) < _SLOT.size or checksum != _CHECKSUM.pack(google_crc32c.value(checked)):
        return None
    magic, version, log_id, turn, first_seq, seq, chain = _SLOT.unpack(checked)
    if magic != _MAGIC or version != VERSION:
        return None
    return Head(log_id=log_id, turn=turn, first_seq=first_seq, seq=seq, chain=chain)
