"""Remembers which writes were acknowledged, and how requests went, to tell what was lost and for how long nothing worked."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SAMPLES_MAX: Final = 20_000
"""Half an hour of ten requests a second: no scenario takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request.

    Args:
        began_s: When it was sent, on the monotonic clock.
        ended_s: When it was answered, or given up.
        is_ok: It was answered as it should be.
        why: Why it was not; empty if it was.
    """

    began_s: float
    ended_s: float
    is_ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How requests went since a moment.

    Args:
        sent: Those that are over.
        failed: Those that were not answered as they should be.
        broken_s: When the first of them was sent; None: none failed.
        well_s: When it worked again: the first good answer to a request that was sent after the last bad one. None:
            it does not yet. Where none failed, the moment itself.
        why: Why the last of them failed; empty if none did.
    """

    sent: int
    failed: int
    broken_s: float | None
    well_s: float | None
    why: str = ""

    @property
    def outage_s(self) -> float | None:
        """For how long it did not work as it should; None: it still does not."""
        if self.broken_s is None:
            return 0.0
        return None if self.well_s is None else self.well_s - self.broken_s


class Ledger:
    """The requests of one drill. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._acked: set[str] = set()

    def note(self, sample: Sample, *, acked: str = "") -> None:
        """Take a request that is over; `acked` is the id of the write that it acknowledges."""
        with self._lock:
            self._samples.append(sample)
            if acked:
                self._acked.add(acked)

    def tally(self, since_s: float) -> Tally:
        """Tell how the requests went that ended since a moment."""
        with self._lock:
            samples = [one for one in self._samples if one.ended_s >= since_s]
        return tally_of(samples, since_s)

    def settle(self, found: Iterable[str]) -> tuple[str, ...]:
        """Compare with what was found, forget all writes, and give those that are lost, sorted.

        What was written after the look may not have been seen: ask when nothing is written.
        """
        there = frozenset(found)
        with self._lock:
            lost = sorted(self._acked - there)
            self._acked.clear()
        return tuple(lost)

    def waiting(self) -> frozenset[str]:
        """Give the acknowledged writes that nobody has looked for yet."""
        with self._lock:
            return frozenset(self._acked)


def tally_of(samples: Iterable[Sample], since_s: float) -> Tally:
    """Sum requests up. Pure."""
    every = tuple(samples)
    failures = [one.began_s for one in every if not one.is_ok]
    if not failures:
        return Tally(sent=len(every), failed=0, broken_s=None, well_s=since_s)
    last_s = max(failures)
    after = [one.ended_s for one in every if one.is_ok and one.began_s > last_s]
    return Tally(
        sent=len(every),
        failed=len(failures),
        broken_s=max(since_s, min(failures)),
        well_s=min(after, default=None),
        why=next(one.why for one in reversed(every) if not one.is_ok),
    )
