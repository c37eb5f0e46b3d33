"""Try a call again: the policy and its decision."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, ClassVar

from resile.core.clock import Clock
from resile.policies.backoff import Backoff, Jitter, Schedule
from resile.policies.budget import Budget
from resile.policies.classify import (
    Classifier,
    ErrorClasses,
    RetryAfter,
    Verdict,
    is_transient,
    judged,
    retry_after_of,
)
from resile.policies.options import Options
from resile.policies.policy import Policy

if TYPE_CHECKING:
    from resile.policies.retrying import RetryLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Policy):
    """Try a call again after a failure that may pass, with growing waits.

    The wait after attempt n is min(initial x multiplier^(n-1), max) x (1 + random(0, jitter)). The
    last error is raised as it is, with `attempts` and a note of those before. Cancellation,
    KeyboardInterrupt, SystemExit and GeneratorExit pass at once. Inside of another retry it tries
    once: the outermost owns the attempts. It gives up early if the next wait does not fit before
    the deadline, or the budget is used up.

    Args:
        attempts: Calls at most, the first included, 1..1000. Default 3.
        initial: The first wait, 0..1d. Default 100 ms.
        max: The longest wait, 0..1d. Default 10 s.
        multiplier: Growth of the exponential wait, 1..100. Default 2.
        jitter: The share that is added at most, 0..10, or a Jitter. Default 0.1.
        backoff: How waits grow. Default exponential.
        on: Errors that may pass. Default Exception; of our own errors only those that say so.
        unless: Errors that do not, though `on` has them.
        classify: Decides instead of `on` and `unless`.
        on_result: True for a result that is to be tried again; the last one is returned.
        retry_after: Reads from an error how long its sender asks to wait; never earlier. None: off.
        retry_after_max: If more is asked for, it gives up. 0..1d. Default 1 minute.
        budget: True for a budget of each guard's own, False for none, or one that guards share.
        is_nested: True to retry inside of another retry too, and so multiply the attempts.
        raise_exhausted: True to raise RetriesExhausted from the last error.

    Raises:
        ConfigError: If options are out of range; all of them are told.
    """

    position: ClassVar[int] = 30
    is_single: ClassVar[bool] = True

    attempts: int = 3
    initial: float | str = 0.1
    max: float | str = 10.0
    multiplier: float = 2.0
    jitter: float | Jitter | str = 0.1
    backoff: Backoff | str = Backoff.EXPONENTIAL
    on: ErrorClasses = Exception
    unless: ErrorClasses = ()
    classify: Classifier | None = None
    on_result: Callable[[object], bool] | None = None
    retry_after: RetryAfter | None = retry_after_of
    retry_after_max: float | str = 60.0
    budget: Budget | bool = True
    is_nested: bool = False
    raise_exhausted: bool = False

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.whole("attempts", low=1, high=1000)
        options.seconds("initial", "max", "retry_after_max", high=86400)
        options.number("multiplier", low=1, high=100)
        options.choice("backoff", Backoff)
        if isinstance(self.jitter, str):
            options.choice("jitter", Jitter)
        else:
            options.number("jitter", low=0, high=10)
        options.errors("on", "unless")
        options.functions("classify", "on_result", "retry_after")
        options.flags("is_nested", "raise_exhausted")
        if not isinstance(self.budget, Budget):
            options.flags("budget")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "RetryLayer":
        """Make the state for one guard."""
        from resile.policies.retrying import RetryLayer

        return RetryLayer(self, name, clock, chance)

    def schedule(self) -> Schedule:
        """Give the waits as a value of its own."""
        return Schedule(
            kind=Backoff(self.backoff),
            initial_s=float(self.initial),
            max_s=float(self.max),
            multiplier=self.multiplier,
            jitter=Jitter(self.jitter) if isinstance(self.jitter, str) else self.jitter,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt came to.

    Args:
        number: 1 for the first.
        what: Kind and text of the error, or of the result that was not wanted.
        error: The error; None for a result, and for the last in an error's own `attempts`.
        waited_s: The seconds until the next attempt; 0 after the last.
    """

    number: int
    what: str
    error: Exception | None = None
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Decide after a failure: wait and try again, or give up. Pure but for the dice."""

    policy: Retry
    schedule: Schedule
    chance: random.Random

    def may_pass(self, error: Exception) -> bool:
        """Tell whether the same call may succeed later."""
        if self.policy.classify is not None:
            return judged(self.policy.classify, error) is Verdict.TRANSIENT
        return is_transient(error, self.policy.on, self.policy.unless)

    def wait_s(
        self, attempt: int, error: Exception | None, *, before_s: float, now: datetime
    ) -> float:
        """Tell the seconds to wait after an attempt; infinite if more is asked for than allowed."""
        wait_s = self.schedule.wait_s(attempt, before_s, self.chance)
        if error is None or self.policy.retry_after is None:
            return wait_s
        asked_s = self.policy.retry_after(error, now)
        if asked_s is None:
            return wait_s
        return inf if asked_s > float(self.policy.retry_after_max) else max(wait_s, asked_s)
