"""How large a journal may grow. Apart from what writes it, as it is known before that is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLimits:
    """When a segment is sealed, and how many are kept.

    Args:
        bytes_max: Seal the live segment above this size. Default 64 MiB, about 150,000 events:
            sealing hashes the file, which then holds appends up for about 50 ms.
        age_max_s: Seal it when its first record is older. Default 30 days.
        count_max: Keep so many segments, the live one included; 2 or more. Default 32, hence
            at most about 2 GiB.
    """

    bytes_max: int = 64 << 20
    age_max_s: float = 30 * 86400.0
    count_max: int = 32

    def __post_init__(self) -> None:
        if self.count_max < 2:
            raise AssertionError(f"count_max is {self.count_max}; 2 or more are needed")
