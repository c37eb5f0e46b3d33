"""Whether something got better or worse: the last hour against the one before."""

from collections import deque

BUCKET_S = 60.0
BUCKETS_PER_HOUR = 60
BEFORE_COUNT_MIN = 10
"""So many minutes of the hour before must be known."""


class Trend:
    """The means of the minutes of two hours. Not thread-safe."""

    __slots__ = ("_bucket", "_count", "_means", "_sum")

    def __init__(self) -> None:
        self._means: deque[tuple[int, float]] = deque(maxlen=2 * BUCKETS_PER_HOUR)
        self._bucket = 0
        self._sum = 0.0
        self._count = 0

    def add(self, at_s: float, value: float) -> None:
        """Take a value. `at_s` never goes back."""
        bucket = int(at_s // BUCKET_S)
        if bucket != self._bucket and self._count:
            self._means.append((self._bucket, self._sum / self._count))
            self._sum, self._count = 0.0, 0
        self._bucket = bucket
        self._sum += value
        self._count += 1

    def change(self) -> float | None:
        """Tell how much the mean of the last hour is above that of the hour before; None if unknown."""
        last_from = self._bucket - BUCKETS_PER_HOUR
        last = [mean for bucket, mean in self._means if bucket >= last_from]
        before = [
            mean
            for bucket, mean in self._means
            if last_from - BUCKETS_PER_HOUR <= bucket < last_from
        ]
        if not last or len(before) < BEFORE_COUNT_MIN:
            return None
        return sum(last) / len(last) - sum(before) / len(before)
