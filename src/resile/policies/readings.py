"""What the guards of this process look like now: one reading for each name."""

from typing import Final, NamedTuple

from resile.policies.bound import Guard
from resile.policies.breaker import BreakerCounts, LastFailure
from resile.policies.breaking import BreakerLayer
from resile.policies.counting import CountingLayer
from resile.policies.explain import order_of
from resile.policies.keyed import keyed_guards
from resile.policies.layer import measures_of
from resile.policies.registry import REGISTRY

KEYS_SHOWN_MAX: Final = 20
"""Of one `per`: a table of thousands helps nobody."""


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
        in_flight: Calls that have a permit of its bulkhead now; of its fullest, if it has several.
        limit: Calls that may have one; 0 without a bulkhead.
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
    in_flight: int = 0
    limit: int = 0


def readings() -> tuple[Reading, ...]:
    """Give the readings of all guards in the order of their names. Takes microseconds for each.

    Of the keys of each `per` up to 20 are among them, such as `users[a.example]`: those whose
    breaker is not plainly closed first, then those that were used last.
    """
    guards = list(REGISTRY.guards())
    for keyed in keyed_guards(REGISTRY.guards()):
        guards += keyed.notable(KEYS_SHOWN_MAX)
    return tuple(reading_of(guard) for guard in sorted(guards, key=lambda guard: guard.name))


def reading_of(guard: Guard) -> Reading:
    """Give the reading of one guard."""
    breaker = _first(guard, BreakerLayer)
    counts, last = _counts(guard)
    calls = counts.successes + counts.failures
    in_flight, limit = _permits(guard)
    return Reading(
        name=guard.name,
        state="" if breaker is None else breaker.state.lower(),
        mode="automatic" if breaker is None else breaker.mode.lower(),
        reason="" if breaker is None else breaker.reason,
        left_s=None if breaker is None else breaker.left_s,
        calls=calls,
        failures=counts.failures,
        rejected=_sum(guard, "rejections"),
        retries=_sum(guard, "retries"),
        success_rate=counts.successes / calls if calls else None,
        last_failure="" if last is None else last.what,
        last_failed_at_s=None if last is None else last.at.timestamp(),
        opened=counts.opened,
        policy=" + ".join(order_of(guard.policy)),
        in_flight=in_flight,
        limit=limit,
    )


def _sum(guard: Guard, family: str) -> int:
    return int(sum(one.value for one in measures_of(guard.layers) if one.family == family))


def _permits(guard: Guard) -> tuple[int, int]:
    """Tell how full its fullest bulkhead is, and how much fits in; zeros if it has none."""
    fullest = (0, 0)
    for layer in guard.layers:
        found = {one.family: int(one.value) for one in measures_of((layer,))}
        in_flight, limit = found.get("in_flight", 0), found.get("limit", 0)
        if limit and (not fullest[1] or in_flight * fullest[1] > fullest[0] * limit):
            fullest = (in_flight, limit)
    return fullest


def _counts(guard: Guard) -> tuple[BreakerCounts, LastFailure | None]:
    for layer in guard.layers:
        if isinstance(layer, BreakerLayer | CountingLayer):
            return layer.counts, layer.last_failure
    return BreakerCounts(), None


def _first(guard: Guard, kind: type[BreakerLayer]) -> BreakerLayer | None:
    return next((layer for layer in guard.layers if isinstance(layer, kind)), None)
