"""Count the calls of a guard that has no breaker, at the place where a breaker would count them."""

import threading
from collections.abc import Awaitable, Callable
from typing import ClassVar, Self, TypeVar

from resile.core.clock import Clock
from resile.policies.breaker import Breaker, BreakerCounts, LastFailure
from resile.policies.classify import is_failure, written
from resile.policies.forks import renew_in_children
from resile.policies.layer import Inline, Measure
from resile.policies.tally import Tally

T = TypeVar("T")


class CountingLayer:
    """What came of each attempt of one guard. Safe to share between threads and tasks.

    As in a breaker, what was cancelled or rejected by a policy further in counts for nothing.

    Args:
        clock: For the time of the last failure.
    """

    __slots__ = ("__weakref__", "_calls", "_clock", "_failures", "_lock", "last_failure")
    position: ClassVar[int] = Breaker.position

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls = Tally()
        self._failures = 0
        self.last_failure: LastFailure | None = None
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Make the lock anew, as in the child of a fork."""
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, and count it."""
        with self:
            return call()

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop."""
        with self:
            return await call()

    def hold(self) -> Self:
        """Count a block as a call."""
        return self

    def __enter__(self) -> None:
        """Nothing is done: only what came of it is counted."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is None or isinstance(error, Exception):
            self.record(error)

    def record(self, error: Exception | None) -> None:
        """Count one outcome: an error, or None for a success."""
        if error is None:
            next(self._calls.steps)
        elif is_failure(error, Exception, ()):
            failure = LastFailure(at=self._clock.now(), what=written(error))
            with self._lock:
                next(self._calls.steps)
                self._failures += 1
                self.last_failure = failure

    def inline(self) -> Inline:
        """Give the lines of a call that goes well."""
        return Inline(
            kind="count",
            names={"_resile_calls": self._calls.steps},
            after=("for _resile_seq in _resile_calls:", "    break"),
        )

    @property
    def counts(self) -> BreakerCounts:
        """Tell what it has seen since its last reset."""
        with self._lock:
            good = self._calls.value() - self._failures
            return BreakerCounts(successes=good, failures=self._failures)

    def measures(self) -> tuple[Measure, ...]:
        """Give its counts."""
        return self.counts.measures()

    def reset(self, *, why: str = "") -> None:
        """Forget what it has seen."""
        del why
        with self._lock:
            self._calls.zero()
            self._failures = 0
            self.last_failure = None
