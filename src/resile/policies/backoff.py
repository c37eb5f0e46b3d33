"""How long to wait before the next attempt. Pure: the randomness comes in as a parameter."""

import random
from dataclasses import dataclass
from enum import StrEnum
from math import inf


class Backoff(StrEnum):
    """How the wait grows from attempt to attempt, before jitter."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"


class Jitter(StrEnum):
    """How a wait is spread, so that those who failed together do not come back together.

    NONE: not at all. FULL: 0..wait. EQUAL: half of it, and 0..half. DECORRELATED: between the first
    wait and three times the one before; it does not use the growth. A number in place of these is
    the share that is added at most: 0.1 gives wait..1.1 x wait.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"
    DECORRELATED = "decorrelated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The waits of one retry policy.

    Args:
        kind: How they grow.
        initial_s: The first one.
        max_s: None is longer before jitter; only a share as jitter goes beyond it.
        multiplier: Of the exponential growth.
        jitter: How they are spread.
    """

    kind: Backoff
    initial_s: float
    max_s: float
    multiplier: float
    jitter: Jitter | float

    def wait_s(self, attempt: int, before_s: float, chance: random.Random) -> float:
        """Tell the seconds to wait after a failed attempt.

        Args:
            attempt: Which one failed, 1 for the first.
            before_s: The wait before this attempt, 0 for the first; decorrelated jitter needs it.
            chance: Where the randomness comes from.
        """
        match self.jitter:
            case Jitter.NONE:
                return self.base_s(attempt)
            case Jitter.FULL:
                return chance.uniform(0, self.base_s(attempt))
            case Jitter.EQUAL:
                half = self.base_s(attempt) / 2
                return half + chance.uniform(0, half)
            case Jitter.DECORRELATED:
                # The cap goes inside: cut afterwards, most waits would be the cap itself.
                most = min(self.max_s, max(before_s, self.initial_s) * 3)
                return chance.uniform(min(self.initial_s, most), most)
            case share:
                return self.base_s(attempt) * (1 + chance.uniform(0, share))

    def base_s(self, attempt: int) -> float:
        """Tell the wait after an attempt before jitter."""
        return min(self.initial_s * self._growth(attempt), self.max_s)

    def longest_s(self, attempt: int) -> float:
        """Tell the longest that the wait after an attempt can be."""
        if self.jitter is Jitter.DECORRELATED:
            return min(self.max_s, self.initial_s * 3.0 ** min(attempt, 600))
        share = 0.0 if isinstance(self.jitter, Jitter) else self.jitter
        return self.base_s(attempt) * (1 + share)

    def _growth(self, attempt: int) -> float:
        if self.kind is Backoff.CONSTANT:
            return 1.0
        if self.kind is Backoff.LINEAR:
            return float(attempt)
        if self.kind is Backoff.FIBONACCI:
            return _fibonacci(attempt)
        try:
            return float(self.multiplier) ** (attempt - 1)
        except OverflowError:
            return inf


def _fibonacci(index: int) -> float:
    """Give the number at a 1-based index: 1, 1, 2, 3, 5."""
    before, current = 0.0, 1.0
    for _ in range(index - 1):
        before, current = current, before + current
    return current
