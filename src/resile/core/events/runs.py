"""The story of a contained run: what began, what it used, what it tried, what became of its changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import RunReason, ViolationKind


class _RunPayload(Payload):
    """What belongs to one run."""

    run_id: str

    @property
    def subject(self) -> str:
        """The run."""
        return f"run/{self.run_id}"

    @property
    def correlation_id(self) -> str:
        """The run."""
        return self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun(_RunPayload):
    """A command is about to be run under limits, and a transaction over its workspaces is open."""

    kind: ClassVar[str] = "run.begun"
    run_id: str
    command: tuple[str, ...]
    workspaces: tuple[str, ...] = ()
    commit: str
    profile: str = ""
    supervisor_pid: int
    """Of the process that watches it; when that dies, the run ends."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """What it may use, memory in bytes; 0: no limit. Empty in what older versions wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAlerted(_RunPayload):
    """A run is close to a limit: 80 % of its time, 90 % of its memory or processor."""

    kind: ClassVar[str] = "run.alerted"
    run_id: str
    limit: str
    measured: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunViolated(_RunPayload):
    """A run tried what its sandbox is there to prevent."""

    kind: ClassVar[str] = "run.violated"
    run_id: str
    violation: ViolationKind
    detail: str
    pid: int = 0
    command: str = ""
    decision: str
    source: str
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBreached(_RunPayload):
    """A run is ended by force; `label` is EXECUTION_TIMEOUT or CRITICAL_RESOURCE_BREACH."""

    kind: ClassVar[str] = "run.breached"
    run_id: str
    label: str
    reason: RunReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(_RunPayload):
    """Nothing of a run lives any more. Its changes, if it has any, are ready for a decision."""

    kind: ClassVar[str] = "run.ended"
    run_id: str
    reason: RunReason
    code: str
    detail: str = ""
    exit_code: int | None = None
    signal: str = ""
    time_s: float = 0.0
    cpu_s: float | None = None
    memory_max_bytes: int | None = None
    processes_max: int | None = None
    output_bytes: int = 0
    disk_bytes: int = 0
    changes: int = 0
    violations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommitted(_RunPayload):
    """Changes of a run are in the workspace, all of those that were asked for."""

    kind: ClassVar[str] = "run.committed"
    run_id: str
    changes: int
    is_whole: bool = True
    """False if only some paths were asked for: the rest still waits."""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRolledBack(_RunPayload):
    """What a run changed is undone: the workspace is as it was before."""

    kind: ClassVar[str] = "run.rolled_back"
    run_id: str
    why: str
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsHeld(Payload):
    """Somebody made every new contained run of this user be refused."""

    kind: ClassVar[str] = "runs.held"
    who: str
    why: str = ""

    @property
    def subject(self) -> str:
        """All of them."""
        return "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsResumed(Payload):
    """Somebody let contained runs begin again."""

    kind: ClassVar[str] = "runs.resumed"
    who: str

    @property
    def subject(self) -> str:
        """All of them."""
        return "runs"
