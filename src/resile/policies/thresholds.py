"""Write in words when each policy acts: its thresholds, those that are defaults included."""

from collections.abc import Callable
from typing import Any, Final

from resile.core.units import format_duration
from resile.policies.policy import Policy


def threshold_of(policy: Policy) -> str:
    """Tell when a policy acts; empty for one that has no threshold."""
    words = _WORDS.get(type(policy).__name__)
    return "" if words is None else words(policy)


def _retry(policy: Any) -> str:
    waits = f"{format_duration(policy.initial)}..{format_duration(policy.max)}"
    return f"{policy.attempts} attempts, with waits of {waits} between them"


def _breaker(policy: Any) -> str:
    probes = "1 probe closes" if policy.successes == 1 else f"{policy.successes} probes close"
    return f"opens {_opens(policy)}; probes after {_open_time(policy)}; {probes} it"


def _opens(policy: Any) -> str:
    if policy.ratio is None and policy.slow_ratio is None:
        when = f"after {policy.failures} bad calls in a row"
    else:
        span = policy.window_calls and f"the last {policy.window_calls} calls"
        span = span or f"the calls of the last {format_duration(policy.window)}"
        shares = [
            *([f"{policy.ratio:.3g} of {span} are bad"] if policy.ratio is not None else []),
            *([f"{policy.slow_ratio:.3g} of {span} are slow"] if policy.slow_ratio else []),
        ]
        in_a_row = [] if policy.ratio is not None else [f"{policy.failures} in a row are bad"]
        when = f"when {' or '.join(in_a_row + shares)}, of {policy.minimum} at least"
    return when + (f"; slow is above {format_duration(policy.slow)}" if policy.slow else "")


def _open_time(policy: Any) -> str:
    first = format_duration(policy.open_for)
    if policy.open_growth == 1:
        return first
    return f"{first}, then {policy.open_growth:g} times as long, up to {format_duration(policy.open_max)}"


def _timeout(policy: Any) -> str:
    if policy.each is None:
        return f"the whole call ends after {format_duration(policy.total)}"
    return f"each attempt ends after {format_duration(policy.each)}"


def _rate_limit(policy: Any) -> str:
    burst = policy.limit if policy.burst is None else policy.burst
    rate = f"{policy.limit} calls in {format_duration(policy.per)}, {burst} at once"
    return rate + _waits(policy.max_wait)


def _bulkhead(policy: Any) -> str:
    return f"{policy.limit} calls at once" + (_queue(policy) if policy.queue else "")


def _adaptive(policy: Any) -> str:
    limits = (
        f"{policy.initial} calls at once to begin with, {policy.lowest}..{policy.highest} later"
    )
    return limits + (_queue(policy) if policy.queue else "")


def _queue(policy: Any) -> str:
    return f", {policy.queue} more wait up to {format_duration(policy.max_wait)}"


def _waits(seconds: float) -> str:
    return f", waiting up to {format_duration(seconds)}" if seconds else ""


def _hedge(policy: Any) -> str:
    after = policy.after if isinstance(policy.after, str) else format_duration(policy.after)
    more = "once more" if policy.hedges == 1 else f"up to {policy.hedges} times more"
    return f"asks {more} after {after}, for {policy.budget:.3g} of the calls"


def _cache(policy: Any) -> str:
    stale = (
        f", and {format_duration(policy.stale)} longer if the call fails" if policy.stale else ""
    )
    return f"remembers {policy.count_max} results for {format_duration(policy.ttl)}{stale}"


def _fallback(policy: Any) -> str:
    return (
        f"{len(policy.steps)} {'step' if len(policy.steps) == 1 else 'steps'}, one after the other"
    )


_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "AdaptiveLimit": _adaptive,
    "Breaker": _breaker,
    "Bulkhead": _bulkhead,
    "Cache": _cache,
    "Fallback": _fallback,
    "Hedge": _hedge,
    "RateLimit": _rate_limit,
    "Retry": _retry,
    "Timeout": _timeout,
}
"""By the names of the classes, so that explaining a retry loads no cache."""
