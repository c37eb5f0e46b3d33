"""What recovery knows of the system: its services, how each may be restarted, and what depends on what.

Frozen data, made from the configuration once. What happens to the services lives in `world.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from resile.core.events import Payload
from resile.core.vocabulary import CheckGroup, FaultKind
from resile.recover.playbook import Playbook


class RestartPolicy(StrEnum):
    """Which ends of a process are answered with a restart.

    Source: Erlang/OTP supervisor behaviour.
    """

    PERMANENT = "permanent"
    """Every end."""
    TRANSIENT = "transient"
    """Every end but exit code 0."""
    TEMPORARY = "temporary"
    """None."""


class Strategy(StrEnum):
    """Who is restarted together with a service that ended.

    Source: Erlang/OTP supervisor behaviour.
    """

    ONE_FOR_ONE = "one_for_one"
    """Nobody."""
    REST_FOR_ONE = "rest_for_one"
    """Those that stand behind it in the group."""
    ONE_FOR_ALL = "one_for_all"
    """The whole group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartSpec:
    """How a service is restarted.

    Args:
        policy: Which ends are answered. Default permanent.
        intensity: At most so many restarts in `period_s`, then quarantine. 1..1000. Default 5.
        period_s: The window of the intensity in seconds. Default 60.
        backoff_min_s: The first delay. The first restart after a healthy time has none.
        backoff_max_s: The longest delay; delays double up to it, with full jitter.
        healthy_after_s: A process that lived so long starts the back-off anew. Default 10.
    """

    policy: RestartPolicy = RestartPolicy.PERMANENT
    intensity: int = 5
    period_s: float = 60.0
    backoff_min_s: float = 0.2
    backoff_max_s: float = 10.0
    healthy_after_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A supervised service, as recovery sees it.

    Args:
        name: Unique.
        depends_on: Names of services or checks that must be up before it starts.
        restart: How it is restarted.
        is_notify: Ready means that it said READY=1.
        ready_timeout_s: How long a start may take until it is a fault. Default 60.
        watchdog_s: It must ping at least so often; 0 means that it does not.
        stop_timeout_s: The longest that a stop may take: drain, grace and kill together.
        is_critical: Its loss is an outage (P0); else P1.
        is_restarted_before_oom: It is restarted in order when it is about to reach its memory limit.
        renew: The program that renews its certificate; empty if none is declared.
        is_changed: It is declared otherwise than when it last worked.
        uses_secret: A declared secret is for it.
    """

    name: str
    depends_on: tuple[str, ...] = ()
    restart: RestartSpec = field(default_factory=RestartSpec)
    is_notify: bool = False
    ready_timeout_s: float = 60.0
    watchdog_s: float = 0.0
    stop_timeout_s: float = 10.0
    is_critical: bool = False
    is_restarted_before_oom: bool = False
    renew: tuple[str, ...] = ()
    is_changed: bool = False
    uses_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBinding:
    """What recovery must know of a check: whose it is, what it is for, what its failure means.

    Args:
        check: Its id.
        service: The service that it looks at; empty for a system check.
        group: What its result is used for.
        fault: What its DOWN means where the group alone does not tell (system checks).
        is_heartbeat: It waits for something to be said, instead of looking by itself.
    """

    check: str
    service: str
    group: CheckGroup
    fault: FaultKind = FaultKind.CHECK_DOWN
    is_heartbeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """Services that share a restart strategy, in start order."""

    name: str
    services: tuple[str, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpec:
    """How often a remedy may be tried on one target before a person must look.

    Args:
        attempts: 1..100. Default 3 (facts/incidents.md: two or three tries tell).
        window_s: In so many seconds. Default 1800.
        at_once: So many remedies of faults are at work at the same time, 1..1000. Default 8: as many
            starts as a common machine has processors for.
    """

    attempts: int = 3
    window_s: float = 1800.0
    at_once: int = 8


def _shipped() -> tuple[Playbook, ...]:
    from resile.recover.playbooks.reading import shipped  # It needs this module.

    return shipped()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """Everything that is declared, by name. `depends_on` of a service may name a check too."""

    services: Mapping[str, ServiceSpec]
    checks: Mapping[str, CheckBinding] = field(default_factory=dict)
    groups: tuple[GroupSpec, ...] = ()
    budget: BudgetSpec = field(default_factory=BudgetSpec)
    stable_s: float = 1.0
    """How long a symptom must be gone until a recovery counts. Default 1 s."""
    playbooks: tuple[Playbook, ...] = field(default_factory=_shipped)
    """What may be done about faults, by name. Default: the shipped ones."""

    def playbook(self, name: str) -> Playbook | None:
        """Give the playbook of a name; None if it is not declared any more."""
        return next((book for book in self.playbooks if book.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is due, and when to be asked again.

    Args:
        payloads: To be journalled now, in this order, best as one unit. Each `ActionStarted`
            among them is to be performed once it is durable.
        wake_at: Ask again at this time at the latest; None if only an event can change anything.
    """

    payloads: tuple[Payload, ...] = ()
    wake_at: datetime | None = None


MACHINE_TARGET = "machine"
"""Names the machine as the target of a fault."""


def service_target(service: str) -> str:
    """Name a service as the target of a fault or an action."""
    return f"service/{service}"


def check_target(check: str) -> str:
    """Name a check as the target of a fault or an action."""
    return f"check/{check}"


def service_of(target: str) -> str | None:
    """Tell which service a target names; None if it names none."""
    kind, _, name = target.partition("/")
    return name if kind == "service" else None
