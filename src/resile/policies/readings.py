"""What the guards of this process look like now: one reading for each name."""

from typing import NamedTuple

from resile.policies.bound import Guard
from resile.policies.breaker import BreakerCounts, LastFailure
from resile.policies.breaking import BreakerLayer
from resile.policies.counting import CountingLayer
from resile.policies.explain import order_of
from resile.policies.registry import REGISTRY
from resile.policies.retrying import RetryLayer
from resile.policies.signals import Rejections


class Reading(NamedTuple):
    """What a guard has come to. Counts are of attempts, since its last reset.

    Args:
        name: The guard's.
        state: "closed", "open" or "half_open"; empty without a breaker.
        mode: "automatic", or an operator's "forced_open", "disabled" or "metrics_only".
        reason: Why the operator set the mode; empty in automatic mode.
        left_s: Seconds until the mode or the open time ends; None if neither does.
        calls: Attempts that ended; what was cancelled or rejected further in is none.
        failures: Those that were bad, as the breaker judges.
        rejected: Calls that the breaker, the rate limit or the bulkhead turned away.
        retries: Attempts after the first.
        success_rate: The share of calls that were no failures, 0..1; None before the first.
        last_failure: Kind and text of the last bad call's error, at most 200 characters; empty
            if there was none.
        last_failed_at_s: When, in seconds since 1970; None if there was none.
        opened: How often the breaker has opened.
        policy: The policies as text, outermost first.
    """

    name: str
    state: str
    mode: str
    reason: str
    left_s: float | None
    calls: int
    failures: int
    rejected: int
    retries: int
    success_rate: float | None
    last_failure: str
    last_failed_at_s: float | None
    opened: int
    policy: str


def readings() -> tuple[Reading, ...]:
    """Give the readings of all guards in the order of their names. Takes microseconds for each."""
    return tuple(reading_of(guard) for guard in REGISTRY.guards())


def reading_of(guard: Guard) -> Reading:
    """Give the reading of one guard."""
    breaker = _first(guard, BreakerLayer)
    counts, last = _counts(guard)
    calls = counts.successes + counts.failures
    return Reading(
        name=guard.name,
        state="" if breaker is None else breaker.state.lower(),
        mode="automatic" if breaker is None else breaker.mode.lower(),
        reason="" if breaker is None else breaker.reason,
        left_s=None if breaker is None else breaker.left_s,
        calls=calls,
        failures=counts.failures,
        rejected=sum(one.count() for one in rejections_of(guard)),
        retries=sum(one.counts.retries for one in guard.layers if isinstance(one, RetryLayer)),
        success_rate=counts.successes / calls if calls else None,
        last_failure="" if last is None else last.what,
        last_failed_at_s=None if last is None else last.at.timestamp(),
        opened=counts.opened,
        policy=" + ".join(order_of(guard.policy)),
    )


def rejections_of(guard: Guard) -> tuple[Rejections, ...]:
    """Give what counts the rejections of a guard."""
    owners = (getattr(layer, "admission", layer) for layer in guard.layers)
    found = (getattr(owner, "rejections", None) for owner in owners)
    return tuple(one for one in found if one is not None)


def _counts(guard: Guard) -> tuple[BreakerCounts, LastFailure | None]:
    for layer in guard.layers:
        if isinstance(layer, BreakerLayer | CountingLayer):
            return layer.counts, layer.last_failure
    return BreakerCounts(), None


def _first(guard: Guard, kind: type[BreakerLayer]) -> BreakerLayer | None:
    return next((layer for layer in guard.layers if isinstance(layer, kind)), None)
