"""A budget of retries: when all fails, many retries are load, and help nobody."""

import threading

from resile.errors import ConfigError
from resile.policies.forks import renew_in_children


class Budget:
    """Tokens that retries take and successes give back. Safe to share between threads and guards.

    A full budget costs nothing: `is_short` is False, and successes need not tell it anything.

    Args:
        capacity: Retries in a row that are allowed without a success, 1..1000000. Default 100: a
            blip of a busy guard passes, an outage does not double its load for long.
        refund: What one success gives back, 0.001..1. Default 0.1: with the budget used up, one
            retry for ten successes.

    Raises:
        ConfigError: If an option is out of range.

    Source: gRFC A6, retry throttling.
    """

    __slots__ = ("__weakref__", "_capacity", "_lock", "_refund", "_tokens", "is_short")

    def __init__(self, *, capacity: int = 100, refund: float = 0.1) -> None:
        problems = []
        if not 1 <= capacity <= 1_000_000:
            problems.append(f"Budget.capacity: {capacity!r} is not in 1..1000000")
        if not 0.001 <= refund <= 1:
            problems.append(f"Budget.refund: {refund!r} is not in 0.001..1")
        if problems:
            raise ConfigError(
                "; ".join(problems),
                hint="such as resile.Budget(capacity=100, refund=0.1)",
                problems=tuple(problems),
            )
        self.renew()
        renew_in_children(self)
        self._capacity = capacity
        self._refund = refund
        self._tokens = float(capacity)
        self.is_short = False

    def renew(self) -> None:
        """Make the lock anew, as in the child of a fork."""
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """Tell how many retries are allowed now."""
        return self._tokens

    def take(self) -> bool:
        """Take a token for one retry; False if there is none."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            self.is_short = True
            return True

    def give(self) -> None:
        """Give back the share of a success."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + self._refund)
            self.is_short = self._tokens < self._capacity

    def refill(self) -> None:
        """Fill it up, as a reset of the guard does."""
        with self._lock:
            self._tokens = float(self._capacity)
            self.is_short = False

    def __repr__(self) -> str:
        return f"Budget(capacity={self._capacity}, refund={self._refund})"
