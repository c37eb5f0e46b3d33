"""Bytes that look random and are always the same."""

import random


def noise(size: int, seed: int = 1) -> bytes:
    """Give so many bytes that no compressor makes smaller."""
    return random.Random(seed).randbytes(size)
