"""The state of a retry: counts and budget of a guard, and the attempts of one call."""

import random
import threading
from collections.abc import Awaitable, Callable
from contextvars import Token
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from resile.core.clock import Clock
from resile.errors import BreakerOpenError, RetriesExhausted
from resile.policies import _async, _sync
from resile.policies.budget import Budget
from resile.policies.classify import TEXT_LENGTH_MAX, is_transient, written
from resile.policies.context import RETRY_OWNER, correlation_id, remaining_s
from resile.policies.forks import renew_in_children
from resile.policies.layer import Inline, Measure
from resile.policies.nesting import is_within_retry
from resile.policies.policy import Policy
from resile.policies.retry import Attempt, Retry, RetryDecision
from resile.policies.signals import POST

T = TypeVar("T")
_NOTE_START = "resile: "
_ATTEMPTS_NOTED_MAX = 5
"""Attempts that a note tells of, the last ones; `attempts` has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryCounts:
    """What a retry has done since its last reset.

    Args:
        retries: Attempts after the first.
        recovered: Calls that succeeded after the first attempt.
        given_up: Calls that did not, though their error might have passed.
        budget_exhausted: Those of them for which there was no budget.
    """

    retries: int = 0
    recovered: int = 0
    given_up: int = 0
    budget_exhausted: int = 0


class RetryLayer:
    """The state of a retry for one guard: budget and counts. Safe to share between threads."""

    __slots__ = ("__weakref__", "_counts", "_lock", "budget", "clock", "decision", "name", "policy")
    position: ClassVar[int] = Retry.position

    def __init__(self, policy: Retry, name: str, clock: Clock, chance: random.Random) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock
        self.decision = RetryDecision(policy, policy.schedule(), chance)
        self.budget = Budget() if policy.budget is True else policy.budget or None
        self.renew()
        renew_in_children(self)
        self._counts = RetryCounts()

    def renew(self) -> None:
        """Make the lock anew, as in the child of a fork."""
        self._lock = threading.Lock()

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; counts stay, and so does a budget of its own."""
        if not isinstance(policy, Retry):
            return False
        if policy.budget is not self.policy.budget:
            self.budget = Budget() if policy.budget is True else policy.budget or None
        self.decision = RetryDecision(policy, policy.schedule(), self.decision.chance)
        self.policy = policy
        return True

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` until it succeeds or there is no sense in it any more."""
        return _sync.retry(self, call)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop."""
        return await _async.retry(self, call)

    def inline(self) -> Inline | None:
        """Give the lines of a first attempt that goes well; none where results are judged."""
        if self.policy.on_result is not None:
            return None
        if self.budget is None:
            return Inline(kind="retry", names={})
        return Inline(
            kind="retry",
            names={"_resile_budget": self.budget},
            after=("if _resile_budget.is_short:", "    _resile_budget.give()"),
        )

    @property
    def passes_rejections(self) -> bool:
        """True if it never tries again after a breaker's rejection, whoever asks."""
        return self.policy.classify is None and not is_transient(
            BreakerOpenError("", 0), self.policy.on, self.policy.unless
        )

    def start(self) -> "RetryRun":
        """Begin the attempts of one call."""
        return RetryRun(self)

    @property
    def counts(self) -> RetryCounts:
        """Tell what it has done since the last reset."""
        return self._counts

    def measures(self) -> tuple[Measure, ...]:
        """Give its counts, and how many retries the budget allows now."""
        counts = self._counts
        budget = () if self.budget is None else (Measure("budget", self.budget.tokens),)
        return (
            Measure("retries", counts.retries),
            Measure("recovered", counts.recovered),
            Measure("given_up", counts.given_up),
            Measure("budget_exhausted", counts.budget_exhausted),
            *budget,
        )

    def reset(self, *, why: str = "") -> None:
        """Forget the counts, and fill the budget up."""
        del why
        with self._lock:
            self._counts = RetryCounts()
        if self.budget is not None:
            self.budget.refill()

    def count(self, **more: int) -> None:
        """Add to the counts."""
        with self._lock:
            now = self._counts
            self._counts = replace(now, **{key: getattr(now, key) + more[key] for key in more})


class RetryRun:
    """The attempts of one call. Not thread-safe: one call owns it, and closes it.

    While it is at its second attempt or later, retries below it try once (RETRY_OWNER).

    Args:
        layer: Where counts and budget are.
        is_block: True if each attempt marks the context itself, as one at a block does.
    """

    __slots__ = ("_before_s", "_is_block", "_is_nested", "_layer", "_records", "_token", "_why")

    def __init__(self, layer: RetryLayer, *, is_block: bool = False) -> None:
        self._layer = layer
        self._is_block = is_block
        self._before_s = 0.0
        self._records: list[Attempt] = []
        self._why = ""
        self._is_nested: bool | None = None
        self._token: Token[bool] | None = None

    def failed(self, error: Exception) -> float | None:
        """Take an attempt's error; tell the seconds until the next attempt, or None to give up."""
        self._record(written(error), error)
        wait_s = self._next(error) if self._layer.decision.may_pass(error) else None
        if wait_s is None and (self._why or len(self._records) > 1):
            self._attach(error)
        return wait_s

    def returned(self, result: object) -> float | None:
        """Take an attempt's result; tell the seconds until the next attempt, or None to keep it."""
        is_unwanted = self._layer.policy.on_result
        if is_unwanted is None or not is_unwanted(result):
            self._succeed()
            return None
        self._record(f"the result {result!r}", None)
        return self._next(None)

    def exhausted(self) -> RetriesExhausted | None:
        """Give the error that was asked for in place of the last outcome; None if it was not."""
        if not self._layer.policy.raise_exhausted or not self._why:
            return None
        return RetriesExhausted(
            f"{self._layer.name!r} failed after {self._tried()}, {self._why}; "
            f"the last: {self._records[-1].what}",
            attempts=tuple(self._records),
            hint="its `attempts` tell what each came to",
        )

    def close(self) -> None:
        """Let the retries that come after this one own their attempts again."""
        if self._token is not None:
            RETRY_OWNER.reset(self._token)
            self._token = None

    def _next(self, error: Exception | None) -> float | None:
        """Decide, and note why not; the last attempt's outcome is already recorded."""
        layer = self._layer
        if self._is_nested is None:
            self._is_nested = not layer.policy.is_nested and is_within_retry(layer)
        if self._is_nested:
            return None
        number = len(self._records)
        if number >= layer.policy.attempts:
            self._give_up("which is all")
            return None
        wait_s = layer.decision.wait_s(
            number, error, before_s=self._before_s, now=layer.clock.now()
        )
        if wait_s >= remaining_s(layer.clock):
            self._give_up("and the next would come too late")
            return None
        if layer.budget is not None and not layer.budget.take():
            layer.count(budget_exhausted=1)
            self._tell("budget_exhausted", attempts=number)
            self._give_up("and the budget of retries is used up")
            return None
        self._records[-1] = replace(self._records[-1], waited_s=wait_s)
        self._before_s = wait_s
        if self._token is None and not self._is_block:
            self._token = RETRY_OWNER.set(True)
        layer.count(retries=1)
        self._tell("retry", attempt=number + 1, wait_s=wait_s, error=_kind(error))
        return wait_s

    def _give_up(self, why: str) -> None:
        self._why = why
        self._layer.count(given_up=1)
        error = self._records[-1].error
        self._tell("gave_up", attempts=len(self._records), why=why, error=_kind(error))

    def _tell(self, kind: str, **detail: object) -> None:
        if POST.is_heard:
            POST.tell(self._layer.name, kind, self._layer.clock, detail)

    def _succeed(self) -> None:
        layer = self._layer
        if self._records:
            layer.count(recovered=1)
        if layer.budget is not None and layer.budget.is_short:
            layer.budget.give()

    def _record(self, what: str, error: Exception | None) -> None:
        number = len(self._records) + 1
        self._records.append(Attempt(number=number, what=what[:TEXT_LENGTH_MAX], error=error))

    def _attach(self, error: Exception) -> None:
        """Give the error its `attempts` and one note, as far as its class allows it.

        The last attempt does not hold the error itself: that circle would keep every frame of the
        call alive until the garbage collector comes.
        """
        *before, last = self._records
        with_attempts: object = error
        try:
            with_attempts.attempts = (*before, replace(last, error=None))  # type: ignore[attr-defined]
            # An error that is raised again and again, such as a constant, shall not grow.
            others = [n for n in getattr(error, "__notes__", ()) if not n.startswith(_NOTE_START)]
            error.__notes__ = [*others, self._note(before)]
        except (AttributeError, TypeError):
            return

    def _note(self, before: list[Attempt]) -> str:
        shown = before[-_ATTEMPTS_NOTED_MAX:]
        lines = [f"{_NOTE_START}{self._layer.name} gave up after {self._tried()}"]
        lines[0] += f", {self._why}" if self._why else ", for this will not pass"
        lines[0] += f" (correlation id {correlation_id()})" if correlation_id() else ""
        lines += [f"  {one.number}: {one.what} (then waited {one.waited_s:.3g} s)" for one in shown]
        return "\n".join(lines)

    def _tried(self) -> str:
        count = len(self._records)
        return f"{count} attempt{'' if count == 1 else 's'}"


def _kind(error: Exception | None) -> str:
    """Name the class of an error; empty for a result that was not wanted."""
    return "" if error is None else type(error).__name__
