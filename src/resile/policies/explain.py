"""Say what a guard does in the worst case: order, thresholds, attempts and time."""

from dataclasses import dataclass, fields
from math import inf, isfinite

from resile.core.units import format_duration
from resile.policies.cache import Cache
from resile.policies.policy import Policy
from resile.policies.retry import Retry
from resile.policies.thresholds import threshold_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a guard does. `str` writes it for people.

    Args:
        name: The guard's.
        order: Each policy with the options that are not their defaults, outermost first.
        thresholds: When each of them acts, in words; defaults are included.
        attempts_max: Calls of the function for one call of the guard.
        longest_s: The longest that one call may take, in seconds; infinite without time-outs.
        waiting_s: How much of it are waits between attempts.
        queueing_s: How much of it are waits for permits, turns and other callers' results.
    """

    name: str
    order: tuple[str, ...]
    attempts_max: int
    longest_s: float
    waiting_s: float
    queueing_s: float = 0.0
    thresholds: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.name]
        for step, threshold in zip(self.order, self.thresholds, strict=True):
            lines.append(f"  {step}")
            lines += [f"    {threshold}"] if threshold else []
        calls = "1 call" if self.attempts_max == 1 else f"{self.attempts_max} calls"
        lines.append(f"  at most {calls} for one, were all to fail")
        if isfinite(self.longest_s):
            waiting = format_duration(self.waiting_s)
            longest = format_duration(self.longest_s)
            queueing = f", {format_duration(self.queueing_s)} in queues" if self.queueing_s else ""
            lines.append(f"  at most {longest}, {waiting} of it waits between attempts{queueing}")
        else:
            lines.append("  no limit of time: add a Timeout")
        return "\n".join(lines)


def explain(name: str) -> Explanation:
    """Tell what the guard of a name does in the worst case.

    Raises:
        ConfigError: If there is no such guard.
    """
    from resile.policies.registry import REGISTRY

    return explained(name, REGISTRY.get(name).policy)


def explained(name: str, policy: Policy) -> Explanation:
    """Tell what policies do in the worst case."""
    parts = policy.parts()
    retry = next((part for part in parts if isinstance(part, Retry)), Retry(attempts=1))
    hedges = max((_option(part, "hedges", 0) for part in parts), default=0)
    waiting_s = sum(_longest_wait_s(retry, number) for number in range(1, retry.attempts))
    each_s = min(_limits(parts, "each"), default=inf)
    total_s = min(_limits(parts, "total"), default=inf)
    queueing_s = retry.attempts * sum(map(_queueing_s, parts))
    within_total_s = min(each_s * retry.attempts + waiting_s + queueing_s, total_s)
    # A cache stands outside of the total time, and waits once for somebody else's call.
    cache_s = max((float(part.max_wait) for part in parts if isinstance(part, Cache)), default=0.0)
    longest_s = within_total_s + cache_s
    return Explanation(
        name=name,
        order=order_of(policy),
        attempts_max=retry.attempts * (1 + round(hedges)),
        longest_s=longest_s,
        waiting_s=min(waiting_s, within_total_s),
        queueing_s=min(queueing_s, within_total_s) + cache_s,
        thresholds=tuple(map(threshold_of, parts)),
    )


def order_of(policy: Policy) -> tuple[str, ...]:
    """Write each policy with the options that are not their defaults, outermost first."""
    return tuple(_written(part) for part in policy.parts())


def _longest_wait_s(retry: Retry, attempt: int) -> float:
    """A sender may ask for more than our own schedule does, up to the limit of that."""
    own_s = retry.schedule().longest_s(attempt)
    return own_s if retry.retry_after is None else max(own_s, float(retry.retry_after_max))


def _queueing_s(part: Policy) -> float:
    """Tell how long one attempt may wait for a permit or a turn; a limit without a queue rejects."""
    return _option(part, "max_wait", 0) if getattr(part, "queue", 0) else 0.0


def _limits(parts: tuple[Policy, ...], option: str) -> list[float]:
    return [_option(part, option, inf) for part in parts]


def _option(part: Policy, name: str, default: float) -> float:
    value = getattr(part, name, default)
    return float(value) if isinstance(value, int | float) else default


def _written(part: Policy) -> str:
    """Write a policy with the options that somebody has set."""
    set_options = [
        f"{field.name}={_shown(getattr(part, field.name))}"
        for field in fields(part)  # type: ignore[arg-type]
        if getattr(part, field.name) not in (field.default, (field.default,))
    ]
    return f"{type(part).__name__}({', '.join(set_options)})"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return getattr(value, "__name__", None) or str(value)
