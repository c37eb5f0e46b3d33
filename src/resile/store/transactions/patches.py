"""Patches: what differs between two contents, for a log that need not hold all of both."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from resile.errors import StoreDamagedError

_HEAD = struct.Struct("<QQI")
_COUNT = struct.Struct("<I")
_BLOCK_BYTES = 256
"""Equal runs shorter than this are not worth a patch of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A range that is replaced.

    Args:
        offset: Where it begins in the content before, bytes.
        removed_bytes: How much of that goes.
        data: What comes there.
    """

    offset: int
    removed_bytes: int
    data: bytes

    @staticmethod
    def encode_all(patches: Sequence["Patch"]) -> bytes:
        """Write patches."""
        parts = [_COUNT.pack(len(patches))]
        for patch in patches:
            parts += (_HEAD.pack(patch.offset, patch.removed_bytes, len(patch.data)), patch.data)
        return b"".join(parts)

    @classmethod
    def decode_all(cls, encoded: bytes) -> tuple[Self, ...]:
        """Read patches.

        Raises:
            StoreDamagedError: If they make no sense.
        """
        try:
            (count,) = _COUNT.unpack_from(encoded)
            at, patches = _COUNT.size, []
            for _ in range(count):
                offset, removed_bytes, length = _HEAD.unpack_from(encoded, at)
                at += _HEAD.size
                data = encoded[at : at + length]
                patches.append(cls(offset=offset, removed_bytes=removed_bytes, data=data))
                at += length
        except struct.error as exc:
            raise StoreDamagedError(f"patches in the log make no sense: {exc}") from exc
        if at != len(encoded):
            raise StoreDamagedError("patches in the log make no sense: their lengths do not add up")
        return tuple(patches)


def patches_between(before: bytes, after: bytes) -> list[Patch]:
    """Find what differs: ranges where both are as long, else all from the first to the last byte."""
    if len(before) != len(after):
        return [_splice(before, after)]
    starts = [
        at
        for at in range(0, len(after), _BLOCK_BYTES)
        if before[at : at + _BLOCK_BYTES] != after[at : at + _BLOCK_BYTES]
    ]
    edges = [0, *(i for i, (a, b) in enumerate(pairwise(starts), 1) if b - a > _BLOCK_BYTES)]
    runs = [starts[first:last] for first, last in pairwise([*edges, len(starts)])]
    return [
        Patch(
            offset=run[0],
            removed_bytes=len(data),
            data=data,
        )
        for run in runs
        if run and (data := after[run[0] : run[-1] + _BLOCK_BYTES])
    ]


def patched(before: bytes, patches: Sequence[Patch]) -> bytes:
    """Give the content after patches, which are in the order of their offsets."""
    parts: list[bytes] = []
    at = 0
    for patch in patches:
        parts += (before[at : patch.offset], patch.data)
        at = patch.offset + patch.removed_bytes
    return b"".join([*parts, before[at:]])


def _splice(before: bytes, after: bytes) -> Patch:
    """Leave out what both begin and end with."""
    front = _common(before, after)
    limit = min(len(before), len(after)) - front
    back = min(limit, _common(before[::-1], after[::-1]))
    return Patch(
        offset=front,
        removed_bytes=len(before) - back - front,
        data=after[front : len(after) - back],
    )


def _common(first: bytes, second: bytes) -> int:
    """Count the bytes that both begin with, by halving."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
