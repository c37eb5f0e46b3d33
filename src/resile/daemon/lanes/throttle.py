"""How many changes of breakers go into the journal, so that one that flaps cannot fill it. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

BURST, EVERY_S = 10, 10.0
"""Of one guard: ten at once, and then one in ten seconds."""
BURST_OF_ALL, EVERY_S_OF_ALL = 100, 0.5
"""Of all guards together: a hundred services that lose their database at once are told of."""
GUARDS_MAX = 1000


@dataclass(slots=True)
class _Bucket:
    """So many may still go at once; refilled as time passes."""

    left: float
    at_s: float
    unsaid: int = 0

    def refill(self, now_s: float, *, burst: int, every_s: float) -> None:
        self.left = min(float(burst), self.left + (now_s - self.at_s) / every_s)
        self.at_s = now_s


class Throttle:
    """Decides for each change whether it is journalled. Not thread-safe."""

    def __init__(self) -> None:
        self._all = _Bucket(float(BURST_OF_ALL), 0.0)
        self._guards: OrderedDict[str, _Bucket] = OrderedDict()
        self.unsaid = 0
        """Changes that were not journalled, of all guards."""

    def admit(self, guard: str, now_s: float) -> int | None:
        """Decide over a change of a guard.

        Args:
            guard: Its name.
            now_s: Monotonic seconds, never going back.

        Returns:
            None if it is not journalled; else how many of this guard were not since the last one.
        """
        bucket = self._guards.setdefault(guard, _Bucket(float(BURST), now_s))
        self._guards.move_to_end(guard)
        if len(self._guards) > GUARDS_MAX:
            self._guards.popitem(last=False)
        bucket.refill(now_s, burst=BURST, every_s=EVERY_S)
        self._all.refill(now_s, burst=BURST_OF_ALL, every_s=EVERY_S_OF_ALL)
        if bucket.left < 1 or self._all.left < 1:
            bucket.unsaid += 1
            self.unsaid += 1
            return None
        bucket.left -= 1
        self._all.left -= 1
        unsaid, bucket.unsaid = bucket.unsaid, 0
        return unsaid
