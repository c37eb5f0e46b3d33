"""Identities that sort by the time they were made.

An id is `prefix_` and 26 characters of Crockford's base 32: 48 bits of milliseconds since 1970,
then 80 random bits. Two ids of one millisecond sort at random; a collision within one
millisecond needs about 2**40 ids of it.

Source: https://github.com/ulid/spec (layout of the bits).
"""

import os
from datetime import UTC, datetime, timedelta

from resile.core.clock import SYSTEM_CLOCK

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(prefix: str, *, at: datetime | None = None) -> str:
    """Make an id such as `evt_01JD8Q2V8T3GZ0Y5S6M7N8P9QR`.

    Args:
        prefix: What the id names, in a few lower-case letters.
        at: The time to sort by. Default: now.
    """
    millis = _millis(at or SYSTEM_CLOCK.now())
    number = (millis << (8 * _RANDOM_BYTES)) | int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
    return f"{prefix}_{_encode(number)}"


def derived_id(prefix: str, *, at: datetime, seed: bytes) -> str:
    """Make the id that the same time and seed always give: for what a replay must find again.

    Args:
        prefix: What the id names.
        at: The time to sort by.
        seed: At least 10 bytes that differ between two things of one millisecond.
    """
    number = (_millis(at) << (8 * _RANDOM_BYTES)) | int.from_bytes(seed[:_RANDOM_BYTES], "big")
    return f"{prefix}_{_encode(number)}"


def made_at(identity: str) -> datetime | None:
    """Tell when an id of ours says that it was made; None if it is none of ours. Aware, UTC."""
    digits = identity.rpartition("_")[2]
    if len(digits) != _LENGTH or not set(digits) <= set(_ALPHABET):
        return None
    number = 0
    for digit in digits:
        number = number << 5 | _ALPHABET.index(digit)
    try:
        return _EPOCH + timedelta(milliseconds=number >> (8 * _RANDOM_BYTES))
    except OverflowError:
        return None


def _millis(at: datetime) -> int:
    """Count whole milliseconds since 1970; a float would round up in some years."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _encode(number: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * i)) & 31] for i in range(_LENGTH - 1, -1, -1))
