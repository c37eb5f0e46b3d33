"""Remember outcomes of calls for a time, and decide how good they still are."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto


class Freshness(Enum):
    """How good an entry is: to be given, to be given only if the call fails, or not at all."""

    FRESH = auto()
    STALE = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a call came to.

    Args:
        value: What it returned.
        error: What it raised, in place of a value; None if it did not.
        fresh_until: Monotonic second.
        stale_until: Monotonic second, not before the other.
    """

    value: object
    error: Exception | None
    fresh_until: float
    stale_until: float

    def freshness(self, now: float) -> Freshness:
        """Tell how good it is at a monotonic second."""
        if now < self.fresh_until:
            return Freshness.FRESH
        return Freshness.STALE if now < self.stale_until else Freshness.MISSING


class Entries:
    """Outcomes by key; the least recently used goes when there are too many. Not thread-safe.

    Args:
        count_max: Entries that are kept, 1 or more.
    """

    __slots__ = ("_by_key", "_count_max")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._by_key: OrderedDict[Hashable, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: Hashable, now: float) -> tuple[Entry | None, Freshness]:
        """Give the entry of a key; one that is of no use any more is dropped."""
        entry = self._by_key.get(key)
        if entry is None:
            return None, Freshness.MISSING
        freshness = entry.freshness(now)
        if freshness is Freshness.MISSING:
            del self._by_key[key]
            return None, freshness
        self._by_key.move_to_end(key)
        return entry, freshness

    def put(self, key: Hashable, entry: Entry) -> None:
        """Remember an outcome in place of the one before it."""
        self._by_key[key] = entry
        self._by_key.move_to_end(key)
        if len(self._by_key) > self._count_max:
            self._by_key.popitem(last=False)

    def resize(self, count_max: int) -> None:
        """Change how many are kept; the least recently used go first."""
        self._count_max = count_max
        while len(self._by_key) > count_max:
            self._by_key.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._by_key.clear()
