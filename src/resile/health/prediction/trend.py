"""Fit a line to samples so that some wild ones do not turn it: Theil and Sen's median of slopes. Pure.

Each sample of the first half is paired with the one half a window later, which keeps the cost
linear but for the sort.

Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968).
"""

from bisect import bisect_right
from collections.abc import Sequence


def pair_slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """Give the slopes between samples half a window apart, sorted; two samples or more, times rising."""
    half = len(times) // 2
    apart = len(times) - half
    return sorted(
        [
            (values[place + apart] - values[place]) / (times[place + apart] - times[place])
            for place in range(half)
        ]
    )


def median(ordered: Sequence[float]) -> float:
    """Give the upper median of what is sorted already."""
    return ordered[len(ordered) // 2]


def rising_share(slopes: Sequence[float]) -> float:
    """Tell which part of sorted slopes is above 0."""
    return 1 - bisect_right(slopes, 0.0) / len(slopes)


def level_and_spread(
    times: Sequence[float], values: Sequence[float], slope: float
) -> tuple[float, float]:
    """Put a line of a given slope through samples.

    Returns:
        Its height at the last sample, and the median distance of the samples to it.
    """
    last_s = times[-1]
    heights = [value + slope * (last_s - at_s) for at_s, value in zip(times, values, strict=True)]
    level = median(sorted(heights))
    return level, median(sorted([abs(height - level) for height in heights]))
