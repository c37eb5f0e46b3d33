"""The record of a parity file as JSON, and back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resile.errors import StoreDamagedError
from resile.store.format.trees import read_number

_VERSION = 1
_BLOCK_BYTES_MAX = 64 << 20
_GROUP_BLOCKS_MAX = 250
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRecord:
    """What a parity file is of.

    Args:
        pack: The pack's name.
        size_bytes: Its length.
        block_bytes: The last block of the last group, and those that it lacks, are filled with 0.
        group_blocks: Blocks that have parity together.
        parity_blocks: So many of these and of the parity blocks may be lost.
        sums: The hash of each block, filled up, in their order.
    """

    pack: str
    size_bytes: int
    block_bytes: int
    group_blocks: int
    parity_blocks: int
    sums: tuple[bytes, ...]

    def with_sums(self, sums: Sequence[bytes]) -> "ParityRecord":
        """Give the same with the hashes of the blocks."""
        return replace(self, sums=tuple(sums))


def encode_parity(record: ParityRecord) -> bytes:
    """Write the record."""
    return json.dumps(
        {
            "version": _VERSION,
            "pack": record.pack,
            "size": record.size_bytes,
            "block_bytes": record.block_bytes,
            "group_blocks": record.group_blocks,
            "parity_blocks": record.parity_blocks,
            "sums": [one.hex() for one in record.sums],
        },
        separators=(",", ":"),
    ).encode("ascii")


def decode_parity(data: bytes, name: str) -> ParityRecord:
    """Read a record.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        facts = json.loads(data)
        record = ParityRecord(
            pack=str(facts["pack"]),
            size_bytes=read_number(facts["size"]),
            block_bytes=read_number(facts["block_bytes"], _BLOCK_BYTES_MAX, least=1),
            group_blocks=read_number(facts["group_blocks"], _GROUP_BLOCKS_MAX, least=1),
            parity_blocks=read_number(facts["parity_blocks"], 255 - _GROUP_BLOCKS_MAX, least=1),
            sums=tuple(bytes.fromhex(one) for one in facts["sums"]),
        )
        _check_sums(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreDamagedError(f"{name} is no parity: {exc}", name=name) from exc
    return record


def _check_sums(record: ParityRecord) -> None:
    groups = -(-record.size_bytes // (record.block_bytes * record.group_blocks))
    if len(record.sums) != groups * record.group_blocks or any(
        len(one) != _DIGEST_BYTES for one in record.sums
    ):
        raise ValueError("its hashes do not fit its size")
