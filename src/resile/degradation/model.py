"""What a program depends on, as frozen data: services, how they serve it, and notices to people."""

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

from resile.core.units import parse_duration
from resile.core.vocabulary import NoticeChoice, ServiceState
from resile.policies import Options

T = TypeVar("T")

SERVICES_MAX: Final = 1000
"""What one manager keeps: services are written in code, and all are looked at when one changes."""
NAME_LENGTH_MAX: Final = 100
REASON_LENGTH_MAX: Final = 200
"""Of a reason, as of an error that is remembered: a line, not a page."""
NOTICE_LENGTH_MAX: Final = 500
_FALLBACKS_MAX: Final = 100


class Criticality(StrEnum):
    """How much a service counts for the state of the system.

    HIGH: in full. MEDIUM: as FAILED at worst. LOW: as DEGRADED at worst.
    """

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_WORST: Final = {
    Criticality.HIGH: ServiceState.CRITICAL,
    Criticality.MEDIUM: ServiceState.FAILED,
    Criticality.LOW: ServiceState.DEGRADED,
}


class Origin(StrEnum):
    """Who found out about a state.

    CALLS: calls that failed. RECOVERY: it was down and has begun to answer. BREAKER: the breaker
    of its guard. REPORT: somebody set it.
    """

    CALLS = "calls"
    RECOVERY = "recovery"
    BREAKER = "breaker"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Service:
    """Something that a program depends on, and what answers in its place.

    Args:
        name: Unique in its manager, 1..100 characters.
        fallbacks: What answers when it does not, one after the other, as the steps of a
            `resile.Fallback`: a value, or a function that gets the arguments of the call, and the
            error as keyword `error` if it has one.
        depends_on: Names of services without which it cannot work. While one of them is down, its
            failures count for nothing, it is not probed, and its fallbacks answer at once.
        criticality: What it counts for the system: high, medium or low. Default high.
        on: Errors that count, and lead to the fallbacks. Default: every Exception. Others are
            raised as they are. Rejections by limits of one's own lead there and count for nothing.
        failures: So many in a row and it is FAILED, 1..1000. Default 3: one may be an accident.
        successes: So many answers in a row and it is well again, 1..1000. Default 2.
        probe: Asks whether it works again: a function or coroutine function that raises, or gives
            False, if it does not. It has to end by itself. None: the next call after a wait tries.
        guard: The name of a guard whose breaker decides: open is FAILED, half-open DEGRADED, closed
            HEALTHY. Failed calls are then the breaker's to count. A probe asks while it is half-open,
            and has to go through the guard to count.
        probe_initial: Seconds until the first probe, 10 ms..1h. Default 1.
        probe_max: The longest wait between two probes, 10 ms..1d; up to a fifth is added at random.
            Default 10, so that what works again is in use again within 30 s.
        probe_timeout: Seconds that a probe has, 10 ms..1h. Default 5.
        notice: What people are told when it is down, up to 500 characters. Default: its reason.

    Raises:
        ConfigError: If an option is out of its range; all of them are told at once.
    """

    name: str
    _: KW_ONLY
    fallbacks: Iterable[object] = ()
    depends_on: Iterable[str] = ()
    criticality: Criticality | str = Criticality.HIGH
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    failures: int = 3
    successes: int = 2
    probe: Callable[[], object] | None = None
    guard: str | None = None
    probe_initial: float | str = 1.0
    probe_max: float | str = 10.0
    probe_timeout: float | str = 5.0
    notice: str = ""

    def __post_init__(self) -> None:
        options = Options(self)
        options.text("name", low=1, high=NAME_LENGTH_MAX)
        options.text("notice", low=0, high=NOTICE_LENGTH_MAX)
        options.several("fallbacks", "depends_on", high=_FALLBACKS_MAX)
        options.choice("criticality", Criticality)
        options.errors("on")
        options.whole("failures", "successes", low=1, high=1000)
        options.seconds("probe_initial", "probe_timeout", low=0.01, high=3600)
        options.seconds("probe_max", low=0.01, high=86400)
        if self.probe is not None and not callable(self.probe):
            options.refuse("probe", f"{self.probe!r} cannot be called")
        if options.is_clean and _seconds(self.probe_initial) > _seconds(self.probe_max):
            options.refuse("probe_initial", f"{self.probe_initial} s is above probe_max")
        options.check()

    @property
    def needs(self) -> tuple[str, ...]:
        """The names in `depends_on`."""
        return tuple(self.depends_on)

    @property
    def steps(self) -> tuple[object, ...]:
        """What is in `fallbacks`."""
        return tuple(self.fallbacks)

    @property
    def worst(self) -> ServiceState:
        """The worst that it makes of the system."""
        return _WORST[Criticality(self.criticality)]

    @property
    def timeout_s(self) -> float:
        """Seconds that a probe has."""
        return _seconds(self.probe_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a service serves the program now.

    Args:
        name: The service.
        state: As it counts for calls; FAILED too while something that it depends on is down.
        reason: Why; empty while it is HEALTHY.
        since: When it came into this state; aware, UTC.
        is_fallback: True if calls go to its fallbacks without asking it.
        blocked_by: The services to blame, the root of it all, if it is down for their sake.
        origin: Who found out.
    """

    name: str
    state: ServiceState
    reason: str
    since: datetime
    is_fallback: bool
    blocked_by: tuple[str, ...] = ()
    origin: Origin = Origin.CALLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What people are told about a service.

    Args:
        id: Names it in answers.
        service: Whom it is about.
        state: The state that it tells of; HEALTHY in the one that says it is over.
        text: One to three sentences, up to 500 characters.
        at: When; aware, UTC.
        choices: What may be answered; none when it is over.
    """

    id: str
    service: str
    state: ServiceState
    text: str
    at: datetime
    choices: tuple[NoticeChoice, ...] = (NoticeChoice.RETRY, NoticeChoice.CONTINUE)

    @property
    def is_over(self) -> bool:
        """True if it says that the service is well again."""
        return self.state is ServiceState.HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What a call came to, and who answered.

    Args:
        value: The answer.
        is_fallback: True if a fallback gave it.
        state: The service's state after the call.
        reason: Why the fallback answered; empty if the service did.
    """

    value: T
    is_fallback: bool
    state: ServiceState
    reason: str


class Condition(NamedTuple):
    """All that is known about one service by itself. Only `decide` makes new ones.

    Times are monotonic seconds; they end with the process.
    """

    state: ServiceState = ServiceState.HEALTHY
    reason: str = ""
    origin: Origin = Origin.CALLS
    failures: int = 0
    """In a row, while it is asked by every call."""
    successes: int = 0
    """In a row, since it was down."""
    answers: int = 0
    """Of its fallbacks in a row, since the last one failed."""
    root: str | None = None
    """Why it was FAILED before calls that nobody answered made it CRITICAL; None if they did not."""
    tries: int = 0
    """In vain, since it is down: the wait before the next grows with them."""
    try_at_s: float = inf
    """When to probe it, or to let a call try."""
    failed_at_s: float = -inf


def _seconds(value: float | str) -> float:
    return value if isinstance(value, float) else parse_duration(value)
