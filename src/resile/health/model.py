"""What a check is: its kind, its target, its rhythm, and what a result says. Frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from resile.core.vocabulary import CheckGroup, CheckState


class CheckKind(StrEnum):
    """The ways to look at something."""

    HTTP = "http"
    TCP = "tcp"
    UNIX = "unix"
    COMMAND = "command"
    PROCESS = "process"
    HEARTBEAT = "heartbeat"
    SQLITE = "sqlite"
    POSTGRES = "postgres"
    DISK = "disk"
    MEMORY = "memory"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """A check, ready to be scheduled.

    Args:
        id: Unique: `SERVICE.live`, `SERVICE.ready`, or the name of a system check.
        kind: How to look.
        target: What at: a URL, `HOST:PORT`, a path, a DSN, a service's name for process.
        service: The service that it looks at; empty for a system check.
        group: What its result is used for.
        command: The command to run, for kind command.
        cwd: Where the command runs; empty for the daemon's own folder.
        env: The whole environment of the command; empty for the daemon's own without the variables
            that steer it (RESILE_*). May hold secrets, so it is not shown.
        options: Limits of the kind. http: `status` (the one good status; 0 = 200..399).
            heartbeat, file: `age_max_s`. process: `rss_max_bytes`. disk, memory:
            `free_min_bytes`, `free_min_share` (DOWN below it), `free_warn_bytes`,
            `free_warn_share` (DEGRADED below it); shares are 0..1.
        interval_s: 0.1..86400. Default 10.
        timeout_s: 0.01..3600, at most the interval. Default 1.
        fall: So many bad results in a row mean DOWN. 1..100. Default 3.
        rise: So many good results in a row mean UP. 1..100. Default 2.
        degraded_after_s: A good result slower than this is DEGRADED; 0 means never.
        grace_s: Bad results so soon after the service's start count as UNKNOWN. Default 0.
    """

    id: str
    kind: CheckKind
    target: str = ""
    service: str = ""
    group: CheckGroup = CheckGroup.SYSTEM
    command: tuple[str, ...] = ()
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, float] = field(default_factory=dict)
    interval_s: float = 10.0
    timeout_s: float = 1.0
    fall: int = 3
    rise: int = 2
    degraded_after_s: float = 0.0
    grace_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The time for which a certificate is valid."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one look saw. `certificate`: of the server, where it had one and it was good."""

    check: str
    state: CheckState
    reason: str
    latency_s: float
    at: datetime
    certificate: Validity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """Where a check stands: its state after hysteresis, and the results that lead elsewhere.

    Survives a restart of the brain (it is part of the checkpoint).
    """

    state: CheckState = CheckState.UNKNOWN
    since: datetime | None = None
    candidate: CheckState = CheckState.UNKNOWN
    candidate_count: int = 0
    candidate_since: datetime | None = None
    away_count: int = 0
    """How many results in a row, of whatever kind, lay on the candidate's side of the state."""
    away_since: datetime | None = None
    last: CheckResult | None = None
    told: tuple[str, ...] = ()
    """The causes that were told since it is DOWN: each is told once."""
