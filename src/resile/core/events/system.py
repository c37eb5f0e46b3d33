"""What happens to the daemon and to its services."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import (
    CheckGroup,
    CheckState,
    EndKind,
    MemoryLevel,
    Phase,
    Verb,
)


class _BrainPayload(Payload):
    """What the brain says of itself."""

    @property
    def subject(self) -> str:
        """The brain."""
        return "brain"


class _ServicePayload(Payload):
    """What is said of one service."""

    service: str

    @property
    def subject(self) -> str:
        """The service."""
        return f"service/{self.service}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainStarted(_BrainPayload):
    """A brain took over: it read the journal and adopted what runs."""

    kind: ClassVar[str] = "brain.started"
    pid: int
    guard_pid: int
    release: str
    config_digest: str
    adopted: tuple[str, ...] = ()
    guard_identity: str = ""
    """Boot id, pid and start time of the guard: another one means that everything starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainStopped(_BrainPayload):
    """The brain ended on purpose; everything that it supervised is stopped."""

    kind: ClassVar[str] = "brain.stopped"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLost(Payload):
    """The guard died; the brain kills every service and ends, so that nothing runs unowned."""

    kind: ClassVar[str] = "guard.lost"
    pid: int
    killed: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The guard."""
        return "guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed(_BrainPayload):
    """The state of the projections, so that a new brain need not read the whole journal."""

    kind: ClassVar[str] = "brain.checkpointed"
    world: Mapping[str, Any]
    incidents: Mapping[str, Any]
    checks: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequested(Payload):
    """An operator asked for something. No services means all of them."""

    kind: ClassVar[str] = "operator.requested"
    verb: Verb
    services: tuple[str, ...] = ()
    who: str = ""

    @property
    def subject(self) -> str:
        """The service, or the system where it is not exactly one."""
        return f"service/{self.services[0]}" if len(self.services) == 1 else "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceChanged(Payload):
    """An operator begins or ends work on a target, `service/NAME` or `check/ID`; or its time ends.

    While `is_on`, recovery keeps its hands off the target, and no fault of it is opened. It ends
    at `until` by itself; None means that only an operator ends it. `who` is empty where time did.
    """

    kind: ClassVar[str] = "maintenance.changed"
    target: str
    is_on: bool
    until: datetime | None = None
    why: str = ""
    who: str = ""

    @property
    def subject(self) -> str:
        """The target."""
        return self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted(_ServicePayload):
    """A service's process was executed."""

    kind: ClassVar[str] = "process.started"
    service: str
    generation: int
    pid: int
    start_ticks: int
    cgroup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited(_ServicePayload):
    """A service's main process ended, and its cgroup is empty.

    Exactly one of `exit_code` and `signal` is set, unless `is_lost`: then the guard that knew
    the exit code is gone too.
    """

    kind: ClassVar[str] = "process.exited"
    service: str
    generation: int
    pid: int
    exit_code: int | None = None
    signal: str = ""
    is_lost: bool = False
    core_dumped: bool = False
    oom_kills: int = 0
    uptime_s: float = 0.0
    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    memory_max_bytes: int = 0
    survivors_killed: int = 0
    bundle: str = ""
    """Path of the crash bundle; empty where none was written (an ordinary stop)."""
    end: EndKind = EndKind.UNKNOWN
    explanation: str = ""
    """In one line, such as `killed by SIGSEGV: ...`; empty in old records."""
    is_graceful: bool = False
    """It ended of its own accord and in order."""
    fingerprint: str = ""
    """Equal crashes have equal ones; empty where nothing went wrong."""
    error: str = ""
    """What it complained of last, as far as that explains its end."""
    frames: tuple[str, ...] = ()
    """Where in its program it was, the innermost first; empty where nobody knows."""
    place: str = ""
    """The innermost of these that is the program's own, and no library's."""
    refused_processes: int = 0
    """Processes that it was refused at its limit."""
    cause: str = ""
    """What lies behind it, as `Cause` names it, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPressureChanged(Payload):
    """Memory is more or less scarce than it was: of a service against its limit, or of the machine.

    `target` is `service/NAME` or `machine`.
    """

    kind: ClassVar[str] = "memory.pressure"
    target: str
    before: MemoryLevel
    after: MemoryLevel
    used_bytes: int
    limit_bytes: int
    reason: str = ""

    @property
    def subject(self) -> str:
        """The target."""
        return self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNotified(_ServicePayload):
    """A service spoke through `sd_notify`: ready, stopping, or a status line."""

    kind: ClassVar[str] = "service.notified"
    service: str
    generation: int
    is_ready: bool = False
    is_stopping: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReady(_ServicePayload):
    """A service became ready for the first time since its process started."""

    kind: ClassVar[str] = "service.ready"
    service: str
    generation: int
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChanged(_ServicePayload):
    """A service's state, as its phase and its checks together tell it, is another one now."""

    kind: ClassVar[str] = "service.changed"
    service: str
    before: CheckState
    after: CheckState
    phase: Phase
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReceived(Payload):
    """Somebody ran `resile beat` for a system check; it counts after a restart, too."""

    kind: ClassVar[str] = "heartbeat.received"
    check: str

    @property
    def subject(self) -> str:
        """The check."""
        return f"check/{self.check}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckChanged(Payload):
    """A check changed its state, after its `fall` or `rise` results in a row.

    `began_at` is the first result of the streak: when the trouble (or the health) really began.
    Where `before` and `after` are both DOWN it is told once more, as its reason names a cause by now.
    """

    kind: ClassVar[str] = "check.changed"
    check: str
    service: str
    group: CheckGroup
    before: CheckState
    after: CheckState
    reason: str
    began_at: datetime
    latency_s: float = 0.0

    @property
    def subject(self) -> str:
        """The check."""
        return f"check/{self.check}"
