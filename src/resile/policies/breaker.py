"""Stop calling what fails: the policy of a circuit breaker, and the words that it has."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final

from resile.core.clock import Clock
from resile.policies.classify import Classifier, ErrorClasses, Verdict, is_failure, judged
from resile.policies.layer import Measure
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.windows import Consecutive, CountWindow, TimeWindow, Window

if TYPE_CHECKING:
    from resile.policies.breaking import BreakerLayer


class BreakerState(StrEnum):
    """CLOSED: calls go through. OPEN: none does. HALF_OPEN: a few probe whether it works again."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


CLOSED: Final = BreakerState.CLOSED
OPEN: Final = BreakerState.OPEN
HALF_OPEN: Final = BreakerState.HALF_OPEN


class BreakerMode(StrEnum):
    """Who decides. AUTOMATIC: the breaker itself. The others are an operator's.

    FORCED_OPEN: nothing goes through. DISABLED: all goes through, nothing is counted. METRICS_ONLY:
    all goes through and is counted.
    """

    AUTOMATIC = "AUTOMATIC"
    FORCED_OPEN = "FORCED_OPEN"
    DISABLED = "DISABLED"
    METRICS_ONLY = "METRICS_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChange:
    """A change of state or mode.

    Args:
        at: When, in UTC.
        state: The state after it.
        mode: The mode after it.
        why: What led to it: a count, or an operator's reason.
    """

    at: datetime
    state: BreakerState
    mode: BreakerMode
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFailure:
    """The last call that counted as bad: when (UTC), and what it came to."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerCounts:
    """What a breaker has seen since its last reset.

    Args:
        successes: Calls that went well.
        failures: Calls that counted as bad.
        rejected: Calls that were not made.
        opened: How often it opened.
    """

    successes: int = 0
    failures: int = 0
    rejected: int = 0
    opened: int = 0

    def measures(self) -> tuple[Measure, ...]:
        """Give the attempts by what came of them."""
        return (
            Measure("attempts", self.successes, "success"),
            Measure("attempts", self.failures, "failure"),
        )

    @property
    def success_rate(self) -> float:
        """Tell the share of calls that went well, 0..1; 1 if none was made."""
        made = self.successes + self.failures
        return self.successes / made if made else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker(Policy):
    """Stop calling a dependency that fails, and probe now and then whether it works again.

    It opens after `failures` in a row; or, with `ratio`, when that share of the last `window_calls`
    calls, or of the calls in the last `window` seconds, was bad. While open it rejects with
    BreakerOpenError. After `open_for` it is half-open: `permits` calls at a time probe, `successes`
    of them close it, the first bad one opens it again. Cancelled calls and rejections by policies
    further in count for nothing.

    Args:
        failures: Bad calls in a row, 1..100000. Default 5; not used with `ratio`.
        ratio: The share of bad calls, 0.001..1. None: count them in a row.
        window_calls: Calls that `ratio` looks back on, 1..100000.
        window: Seconds that it looks back on, 100 ms..1d; one of the two. Precise to a tenth.
        minimum: Calls that the window must have, 1..100000. Default 10.
        slow: A call that takes longer is bad, 1 ms..1d. None: time does not matter.
        slow_ratio: A share of its own for slow calls, 0.001..1; they then count for that alone.
        open_for: Seconds until the first probe, 1 ms..1d. Default 30.
        open_growth: Factor for each time that it opens again without having closed, 1..10.
        open_max: The longest open time, 1 ms..7d. Default 10 minutes.
        successes: Probes that close it, 1..1000. Default 1.
        permits: Probes at a time, 1..1000. Default 1.
        permit_for: A probe that has not come back after it counts as bad. 1 ms..1d, default 60.
        on: Errors that count. Default Exception.
        unless: Errors that do not, though `on` has them.
        classify: Decides instead: all that is not IGNORED counts.
        on_result: True for a result that counts as bad.
        shared: What one process learns, others that have the same guard know: over the daemon of
            their system, or what `resile.share` names. A call never waits for it; without it each
            process decides by itself. Give the guard a name.

    Raises:
        ConfigError: If options are out of range or do not fit together; all of them are told.

    Source: M. Nygard, "Release It!", 2nd ed., ch. 5.
    """

    position: ClassVar[int] = 40
    is_single: ClassVar[bool] = True

    failures: int = 5
    ratio: float | None = None
    window_calls: int | None = None
    window: float | str | None = None
    minimum: int = 10
    slow: float | str | None = None
    slow_ratio: float | None = None
    open_for: float | str = 30.0
    open_growth: float = 1.0
    open_max: float | str = 600.0
    successes: int = 1
    permits: int = 1
    permit_for: float | str = 60.0
    on: ErrorClasses = Exception
    unless: ErrorClasses = ()
    classify: Classifier | None = None
    on_result: Callable[[object], bool] | None = None
    shared: bool = False

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.whole("failures", "window_calls", "minimum", low=1, high=100_000)
        options.whole("successes", "permits", low=1, high=1000)
        options.number("ratio", "slow_ratio", low=0.001, high=1)
        options.number("open_growth", low=1, high=10)
        options.seconds("slow", "open_for", "permit_for", low=0.001, high=86400)
        options.seconds("window", low=0.1, high=86400)
        options.seconds("open_max", low=0.001, high=7 * 86400)
        options.errors("on", "unless")
        options.functions("classify", "on_result")
        options.flags("shared")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "BreakerLayer":
        """Make the state for one guard; it needs no chance."""
        from resile.policies.breaking import BreakerLayer

        return BreakerLayer(self, name, clock)

    def counts_as_bad(self, error: Exception) -> bool:
        """Tell whether the dependency is to blame for an error."""
        if self.classify is not None:
            return judged(self.classify, error) is not Verdict.IGNORED
        return is_failure(error, self.on, self.unless)

    def main_window(self) -> Window:
        """Make the window for bad calls."""
        return Consecutive(self.failures) if self.ratio is None else self._window(self.ratio)

    def slow_window(self) -> Window | None:
        """Make the window for slow calls; None if they count with the bad ones, or not at all."""
        return None if self.slow_ratio is None else self._window(self.slow_ratio)

    def _window(self, ratio: float) -> Window:
        if self.window_calls is not None:
            return CountWindow(size=self.window_calls, ratio=ratio, minimum=self.minimum)
        return TimeWindow(span_s=float(self.window or 0), ratio=ratio, minimum=self.minimum)

    def check_together(self, options: Options) -> None:
        """Check options beside each other."""
        has_window = self.window_calls is not None or self.window is not None
        if self.window_calls is not None and self.window is not None:
            options.refuse("window", "looks back on seconds, window_calls on calls: give one")
        if has_window and self.ratio is None and self.slow_ratio is None:
            options.refuse("ratio", "is missing: a window needs a share, such as 0.5")
        for name in ("ratio", "slow_ratio"):
            if getattr(self, name) is not None and not has_window:
                options.refuse(name, 'needs a window: window_calls=100 or window="30s"')
        if self.slow_ratio is not None and self.slow is None:
            options.refuse("slow", 'is missing: say what is slow, such as slow="2s"')
        calls = self.window_calls
        if options.is_clean and calls is not None and self.minimum > calls:
            options.refuse("minimum", f"{self.minimum} calls never are in a window of {calls}")
