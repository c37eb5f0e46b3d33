"""Decide how a service serves the program: what follows from calls, probes, breakers, reports.

Pure: a condition, what happened and the time come in; the next condition comes out.
"""

import random
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from math import inf
from typing import Final, NamedTuple

from resile.core.vocabulary import ServiceState
from resile.degradation.model import REASON_LENGTH_MAX, Condition, Origin, Service
from resile.policies import Backoff, BreakerState, Schedule, nearest

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState
RANK: Final = {state: rank for rank, state in enumerate(ServiceState)}
"""How bad each state is."""

JITTER: Final = 0.2
"""The share that is added at random to a wait between probes, so that they do not come together."""
EXPLAINED_S: Final = 10.0
"""A failure so shortly before that of what it depends on was its symptom. Three failures of a call
with a time-out of some seconds fit in."""
_MULTIPLIER: Final = 2.0
_WELL: Final = Condition()


class Standing(NamedTuple):
    """Where a service stands among the others: its state as it counts, and the roots to blame."""

    state: ServiceState
    blocked_by: tuple[str, ...]


def is_down(state: ServiceState) -> bool:
    """Tell whether a service in this state is not to be relied on."""
    return state in (FAILED, CRITICAL)


def is_recovering(condition: Condition) -> bool:
    """Tell whether it was down, and has begun to answer."""
    return condition.state is DEGRADED and condition.origin is Origin.RECOVERY


def is_ailing(condition: Condition) -> bool:
    """Tell whether it is down, or was and is not well yet: then it is looked after."""
    return is_down(condition.state) or is_recovering(condition)


def is_half_open(condition: Condition) -> bool:
    """Tell whether the breaker of its guard lets some calls through, to find out."""
    return condition.state is DEGRADED and condition.origin is Origin.BREAKER


def is_probed(condition: Condition) -> bool:
    """Tell whether its probe is wanted: not while its breaker is open, as none would go through."""
    return is_ailing(condition) or is_half_open(condition)


def is_news(before: Condition, after: Condition) -> bool:
    """Tell whether a change is one to keep and to tell, not only to count."""
    return before[:3] != after[:3]


# What happened -----------------------------------------------------------------------------------


def failed(
    service: Service, before: Condition, why: str, now: float, chance: random.Random
) -> Condition:
    """Count a failure of the service itself: of a call, or of a probe."""
    if is_down(before.state):
        tries = before.tries + 1
        return before._replace(
            tries=tries, successes=0, try_at_s=now + wait_s(service, tries, chance)
        )
    if service.guard is not None and not is_recovering(before):
        return _later(service, before, now)  # The breaker counts, and says so when it opens.
    failures = before.failures + 1
    if failures < service.failures and not is_recovering(before):
        return before._replace(failures=failures, failed_at_s=now)
    tries = before.tries if is_recovering(before) else 0
    return Condition(
        state=FAILED,
        reason=why[:REASON_LENGTH_MAX],
        tries=tries,
        try_at_s=now + wait_s(service, tries, chance),
        failed_at_s=now,
    )


def worked(service: Service, before: Condition, now: float) -> Condition:
    """Count an answer of the service itself."""
    if is_ailing(before):
        successes = before.successes + 1
        if successes >= service.successes:
            return _WELL
        return Condition(
            state=DEGRADED,
            reason=f"it answers again; before: {_root(before.reason)}"[:REASON_LENGTH_MAX],
            origin=Origin.RECOVERY,
            successes=successes,
            tries=before.tries,
            try_at_s=now + _initial_s(service),
        )
    before = _later(service, before, now)
    return before._replace(failures=0) if before.failures else before


def unanswered(before: Condition, why: str) -> Condition:
    """Count a call that nobody answered: the last fallback failed too, or there is none."""
    if before.state is not FAILED:
        return before._replace(answers=0)
    reason = f"{before.reason}; and nothing answers: {why}"[:REASON_LENGTH_MAX]
    return before._replace(state=CRITICAL, reason=reason, answers=0, root=before.reason)


def answered(service: Service, before: Condition) -> Condition:
    """Count an answer of a fallback."""
    if before.state is not CRITICAL or before.root is None:
        return before
    answers = before.answers + 1
    if answers < service.successes:
        return before._replace(answers=answers)
    return before._replace(state=FAILED, reason=before.root, answers=0, root=None)


def reported(service: Service, state: ServiceState, why: str, now: float) -> Condition:
    """Take over what somebody says. It holds until somebody says otherwise, or it gets worse.

    If it is down, a probe may find it well again.
    """
    if state is HEALTHY:
        return _WELL
    try_at_s = now + _initial_s(service) if is_down(state) else inf
    return Condition(
        state=state, reason=why[:REASON_LENGTH_MAX], origin=Origin.REPORT, try_at_s=try_at_s
    )


def followed(before: Condition, breaker: BreakerState, why: str, now: float) -> Condition:
    """Take over what the breaker of its guard says; while it is half-open the probe is its call."""
    state = {"CLOSED": HEALTHY, "HALF_OPEN": DEGRADED, "OPEN": FAILED}[breaker]
    if state is HEALTHY:
        return _WELL if before.origin is Origin.BREAKER else before
    if state is FAILED and before.state is CRITICAL:
        return before
    if before.origin is Origin.BREAKER and before.state is state:
        return before
    reason = why if state is FAILED else f"its breaker is half-open; before: {_root(before.reason)}"
    return Condition(
        state=state,
        reason=reason[:REASON_LENGTH_MAX],
        origin=Origin.BREAKER,
        try_at_s=inf if state is FAILED else now,
    )


def excused(before: Condition, now: float) -> Condition:
    """Take back a failure that what it depends on explains: that is down now as well."""
    if before.origin is Origin.REPORT or now - before.failed_at_s > EXPLAINED_S:
        return before
    return _WELL


def restored(state: ServiceState, reason: str, origin: Origin, now: float) -> Condition:
    """Go on from what the journal kept: nobody knows whether it is still so, so it is tried soon."""
    if state is HEALTHY:
        return _WELL
    kept = Origin.CALLS if origin is Origin.BREAKER else origin
    return Condition(
        state=state,
        reason=reason,
        origin=kept,
        root=reason if state is CRITICAL and kept is not Origin.REPORT else None,
        try_at_s=now if is_down(state) or kept is Origin.RECOVERY else inf,
    )


def hastened(before: Condition, now: float) -> Condition:
    """Try now, not when it would be due; also what somebody has set."""
    if not is_ailing(before):
        return before
    origin = Origin.CALLS if before.origin is Origin.REPORT else before.origin
    return before._replace(tries=0, try_at_s=now, origin=origin)


def calls_may_try(service: Service, condition: Condition, now: float) -> bool:
    """Tell whether a call may find out if a service that is down works again."""
    return (
        service.probe is None
        and condition.origin in (Origin.CALLS, Origin.RECOVERY)
        and now >= condition.try_at_s
    )


def wait_s(service: Service, tries: int, chance: random.Random) -> float:
    """Tell the seconds before the next probe, after so many in vain."""
    schedule = Schedule(
        kind=Backoff.EXPONENTIAL,
        initial_s=_initial_s(service),
        max_s=float(service.probe_max),
        multiplier=_MULTIPLIER,
        jitter=JITTER,
    )
    return schedule.wait_s(tries + 1, 0.0, chance)


# All together ------------------------------------------------------------------------------------


def standings(
    order: Iterable[str], services: Mapping[str, Service], states: Mapping[str, ServiceState]
) -> dict[str, Standing]:
    """Tell where each service stands, what it depends on included.

    Args:
        order: All names, each behind what it depends on.
        services: By name.
        states: Of each by itself.
    """
    found: dict[str, Standing] = {}
    for name in order:
        own = states[name]
        roots: dict[str, None] = {}
        for needed in services[name].needs:
            if is_down(found[needed].state):
                roots |= dict.fromkeys(found[needed].blocked_by or (needed,))
        blocked = max(own, FAILED, key=RANK.__getitem__) if roots else own
        found[name] = Standing(blocked, tuple(roots))
    return found


def system_state(services: Mapping[str, Service], found: Mapping[str, Standing]) -> ServiceState:
    """Tell the state of all together: the worst, each as far as its criticality goes."""
    worst = HEALTHY
    for name, standing in found.items():
        cap = services[name].worst
        worst = max(worst, min(standing.state, cap, key=RANK.__getitem__), key=RANK.__getitem__)
    return worst


def order_of(services: Mapping[str, Service]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put each service behind what it depends on.

    Returns:
        The names in order, and what is wrong: names that do not exist, and cycles. The order is
        empty if anything is.
    """
    problems = [
        f"{name}.depends_on: there is no service {needed!r}; {nearest(needed, services)}"
        for name, service in services.items()
        for needed in service.needs
        if needed not in services
    ]
    if problems:
        return (), tuple(problems)
    try:
        order = tuple(TopologicalSorter({n: s.needs for n, s in services.items()}).static_order())
    except CycleError as exc:
        path = " -> ".join(reversed(exc.args[1]))
        return (), (f"{exc.args[1][0]}.depends_on: goes round in a circle: {path}",)
    return order, ()


def _later(service: Service, condition: Condition, now: float) -> Condition:
    """Put off the probe of one whose breaker is half-open: a call has just been one."""
    if not is_half_open(condition):
        return condition
    return condition._replace(try_at_s=now + _initial_s(service))


def _initial_s(service: Service) -> float:
    return float(service.probe_initial)


def _root(reason: str) -> str:
    """Give the reason behind those that were put before it."""
    return reason.rpartition("; before: ")[2] or "unknown"
