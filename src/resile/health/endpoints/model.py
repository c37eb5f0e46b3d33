"""The values that health endpoints work with: what a check is, what it may say, what is kept of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from resile.policies import Options

TIMEOUT_S_MAX = 60.0
"""Longer than any prober waits."""
TTL_S_MAX = 3600.0
NAME_LENGTH_MAX = 64
DETAILS_MAX = 20
"""Fields that one check may show; more are left out."""


FIGURES_MAX = 100
"""Numbers that one check may tell; more are left out."""
_RESERVED_LABELS = {"le", "quantile"}
"""They belong to histograms and summaries."""


class HealthStatus(StrEnum):
    """How well something works."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It works, with less than it should have."""
    UNHEALTHY = "unhealthy"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a check measured, for `/metrics`.

    Args:
        name: The metric is called `<prefix>_<check>_<name>`; ends in its unit, such as `free_bytes`.
        description: One sentence.
        value: What was measured.
        labels: Tell apart the figures of one name.
    """

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What a check says, if a plain value or an exception does not say it.

    Args:
        status: How well it works.
        message: Why, in one line, for whoever may read `/health`; never put a secret into it.
        details: Further fields of the component in `/health`, at most 20; what is no number, truth
            value or None is shown as one line of text.
        figures: Numbers for `/metrics`.
    """

    status: HealthStatus = HealthStatus.HEALTHY
    message: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()


Said: TypeAlias = HealthResult | HealthStatus | Mapping[str, object] | bool | None
"""What a check may return: None and True are healthy, False is unhealthy, a mapping is healthy with
these details."""
CheckCall: TypeAlias = Callable[[], Said | Awaitable[Said]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is looked at, and what follows if it does not work.

    Args:
        name: A lower-case word; the component in `/health` and part of the names in `/metrics`.
        call: Looks once. Raising means unhealthy.
        timeout: So long an answer is waited for, 10 ms to 60 s. A check that takes longer is
            unhealthy, and is not called again before it has returned.
        ttl: So long a result is given again, 0 to 1 h.
        critical: True if nothing can be done without it: the service is not ready while it is
            unhealthy.
        failure_status: What the whole service is while this is unhealthy. Default: unhealthy if it
            is critical, else degraded.
        timed: A word such as "query": its duration is also the metric
            `<prefix>_<name>_<timed>_duration_seconds`.

    Raises:
        ConfigError: If an option is out of its range; all that is wrong is told at once.
    """

    name: str
    call: CheckCall
    timeout: float | str = 1.0
    ttl: float | str = 1.0
    critical: bool = False
    failure_status: HealthStatus | None = None
    timed: str = ""

    def __post_init__(self) -> None:
        options = Options(self)
        if not is_name(self.name):
            options.refuse("name", f"{self.name!r} is not a lower-case word such as database")
        if not callable(self.call):
            options.refuse("call", f"{self.call!r} cannot be called")
        options.seconds("timeout", low=0.01, high=TIMEOUT_S_MAX)
        options.seconds("ttl", high=TTL_S_MAX)
        if self.failure_status is None:
            status = HealthStatus.UNHEALTHY if self.critical else HealthStatus.DEGRADED
            object.__setattr__(self, "failure_status", status)
        options.choice("failure_status", HealthStatus)
        options.check()

    @property
    def timeout_s(self) -> float:
        """The time-out in seconds."""
        return float(self.timeout)

    @property
    def ttl_s(self) -> float:
        """The time to live of a result in seconds."""
        return float(self.ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """What is known of a check: its latest result.

    Args:
        check: Whose it is.
        result: What it said, or what an exception or a silence said for it.
        response_s: How long it took; of a silence, how long it has lasted.
        checked_at: When it ended, or when a silence was noticed.
    """

    check: Check
    result: HealthResult
    response_s: float
    checked_at: datetime

    @property
    def is_unhealthy(self) -> bool:
        """True if it does not work."""
        return self.result.status is HealthStatus.UNHEALTHY


def is_name(text: object) -> bool:
    """Tell whether it is a name as Prometheus and JSON readers like it: lower case, ASCII."""
    return (
        isinstance(text, str)
        and text.isascii()
        and text.isidentifier()
        and text == text.lower()
        and not text.startswith("_")
        and len(text) <= NAME_LENGTH_MAX
    )


def is_label(text: object) -> bool:
    """Tell whether it may name a label."""
    return is_name(text) and text not in _RESERVED_LABELS
