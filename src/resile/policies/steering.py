"""An operator's hand on the guards of this process: orders by the name of one."""

from typing import Final

from resile.errors import ConfigError
from resile.policies.bound import Guard
from resile.policies.breaking import BreakerLayer
from resile.policies.keyed import keyed_guards
from resile.policies.presets import nearest
from resile.policies.registry import REGISTRY, breaker_of

ORDERS: Final = ("trip", "reset", "force-open", "disable", "metrics-only", "automatic")
_TIMELESS: Final = ("reset", "automatic")
"""Orders that hold for ever: nothing is left to end."""
_FOR_S_MAX: Final = 30 * 86_400
_WHY_MAX: Final = 200
"""Characters of a reason: it shows in errors, and as one line of a table."""


def steer(name: str, order: str, *, for_s: float | None, why: str) -> None:
    """Do what an operator orders, to a guard: mostly to its breaker. Safe to call from any thread.

    - "trip" opens it as too many failures would; it probes after `for_s`, or after its open time.
    - "reset" closes it, forgets its counts and its mode, and fills the budget of retries; a guard
      without a breaker forgets its counts, too.
    - "force-open" rejects all calls, "disable" lets all through and counts none, "metrics-only"
      lets all through and counts them: for `for_s`, or until another order.
    - "automatic" ends such a mode, and keeps the counts.

    Args:
        name: The guard's name, or that of a key: `users[a.example]`.
        order: One of `ORDERS`.
        for_s: Seconds, above 0 and at most 30 days; None for no end. Not for reset and automatic.
        why: The reason; it shows in errors and in the dashboard. Cut after 200 characters.

    Raises:
        ConfigError: If there is no such order, guard, or time, or the guard has no breaker; the
            nearest name is shown. A reset needs no breaker.
    """
    if order not in ORDERS:
        raise ConfigError(f"there is no order {order!r}", hint=nearest(order, ORDERS))
    guard = _guard(name)
    breaker = None if order == "reset" else breaker_of(guard)
    if for_s is not None and order in _TIMELESS:
        raise ConfigError(f"{order!r} has no end, so it takes no time", hint="leave the time out")
    if for_s is not None and not 0 < for_s <= _FOR_S_MAX:
        raise ConfigError(f"{for_s:g} s is no time for {order!r}", hint="give 1s to 30d")
    why = " ".join(why.split())[:_WHY_MAX] or "no reason was given"
    if breaker is None:
        guard.reset(why=why)
    else:
        _obey(breaker, order, for_s, why)


def _guard(name: str) -> Guard:
    """Find a guard, or that of a key.

    Raises:
        ConfigError: If there is none.
    """
    parents = keyed_guards(REGISTRY.guards())
    keyed = [one for one in parents if name.startswith(f"{one.name}[")]
    named = [guard for one in keyed for guard in one.guards() if guard.name == name]
    return named[0] if named else REGISTRY.get(name)


def _obey(breaker: BreakerLayer, order: str, for_s: float | None, why: str) -> None:
    if order == "trip":
        breaker.trip(why=why, for_=for_s)
    elif order == "force-open":
        breaker.force_open(why=why, for_=for_s)
    elif order == "disable":
        breaker.disable(why=why, for_=for_s)
    elif order == "metrics-only":
        breaker.metrics_only(why=why, for_=for_s)
    else:
        breaker.automatic(why=why)
