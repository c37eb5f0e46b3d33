"""Decide what a check's words and all components together mean. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from resile.core.units import format_duration
from resile.errors import ResileError
from resile.health.checks.port import one_line
from resile.health.endpoints.model import (
    DETAILS_MAX,
    FIGURES_MAX,
    Check,
    Component,
    Figure,
    HealthResult,
    HealthStatus,
    is_label,
    is_name,
)

_BADNESS = {HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}


def result_of(said: object) -> HealthResult:
    """Turn what a check returned into a result; what it may not return is unhealthy."""
    if isinstance(said, HealthResult):
        return _within_bounds(said)
    if isinstance(said, HealthStatus):
        return HealthResult(said)
    if said is None or said is True:
        return HealthResult()
    if said is False:
        return HealthResult(HealthStatus.UNHEALTHY, "the check says no")
    if isinstance(said, Mapping):
        return _within_bounds(HealthResult(details=said))
    return HealthResult(
        HealthStatus.UNHEALTHY, f"the check returned a {type(said).__name__}, which says nothing"
    )


def failure_of(error: BaseException, check: Check) -> HealthResult:
    """Turn what a check raised into a result.

    Only errors whose text is known to be free of secrets show it: ours, and the system's.
    """
    kind = type(error).__name__
    if isinstance(error, ResileError):
        message = error.message
    elif isinstance(error, TimeoutError):
        return silence_of(check)
    elif isinstance(error, OSError) and error.strerror:
        message = f"{kind}: {error.strerror}"
    else:
        message = kind
    return HealthResult(HealthStatus.UNHEALTHY, one_line(message))


def silence_of(check: Check) -> HealthResult:
    """Say that a check has not answered in its time."""
    return HealthResult(
        HealthStatus.UNHEALTHY, f"no answer within {format_duration(check.timeout_s)}"
    )


def overall(components: Iterable[Component]) -> HealthStatus:
    """Tell how well the whole service works: as its worst component lets it."""
    return max((_effect(one) for one in components), key=_BADNESS.__getitem__, default=_BEST)


def unready_reason(components: Iterable[Component]) -> str:
    """Say why requests cannot be served; empty if they can."""
    reasons = [
        f"{one.check.name}: {one.result.message or one.result.status}"
        for one in components
        if one.check.critical and one.is_unhealthy
    ]
    return one_line("; ".join(reasons))


_BEST = HealthStatus.HEALTHY


def _effect(component: Component) -> HealthStatus:
    if component.is_unhealthy:
        return component.check.failure_status or HealthStatus.UNHEALTHY
    return component.result.status


def _within_bounds(result: HealthResult) -> HealthResult:
    for figure in result.figures:
        if not is_name(figure.name) or not all(map(is_label, figure.labels)):
            wrong = f"{figure.name!r} or a label of it cannot name a metric"
            return HealthResult(HealthStatus.UNHEALTHY, one_line(wrong))
    details = list(result.details.items())[:DETAILS_MAX]
    return HealthResult(
        HealthStatus(result.status),
        one_line(result.message),
        {one_line(str(key)): _shown(value) for key, value in details},
        tuple(map(_told, result.figures[:FIGURES_MAX])),
    )


def _told(figure: Figure) -> Figure:
    labels = {name: one_line(str(value)) for name, value in figure.labels.items()}
    return replace(figure, value=float(figure.value), labels=labels)


def _shown(value: object) -> str | int | float | bool | None:
    """Give what JSON can hold: no infinity, no endless text, no object."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return one_line(str(value))
