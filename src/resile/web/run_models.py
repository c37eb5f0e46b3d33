"""The shapes of contained runs in the API; as those of `models.py`, they let later fields pass."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.web.models import Shape, TimelineEntry

PATHS_MAX = 500


class Usage(Shape):
    """What a run uses now, or used; null: this machine cannot tell, or nothing was measured."""

    time_s: float | None = None
    cpu_s: float | None = None
    cpu_share: float | None = Field(default=None, description="Now; 1.0 is one core.")
    memory_bytes: int | None = Field(default=None, description="Now.")
    memory_max_bytes: int | None = None
    processes_max: int | None = None
    output_bytes: int | None = None
    disk_bytes: int | None = None
    disk_files: int | None = None
    oom_kills: int | None = None
    refused_processes: int | None = None


class Allowed(Shape):
    """What a run may use; 0: no limit."""

    time_s: float = 0
    cpu_share: float = Field(default=0, description="1.0 is one core.")
    cpu_time_s: float = 0
    memory: int = Field(default=0, description="In bytes.")
    processes: int = 0
    files: int = 0
    output_bytes: int = 0
    disk_bytes: int = 0
    disk_files: int = 0
    network: str = ""
    at_quota: str = ""
    quota_grace_s: float = 0
    grace_s: float = 0


class Run(Shape):
    """A contained run: a command under limits, with a transaction over its workspaces."""

    id: str
    command: list[str]
    state: RunState
    is_open: bool = Field(description="It runs, or its changes wait for a decision.")
    is_orphan: bool = Field(default=False, description="Nobody watches it: it is swept soon.")
    commit: str = Field(default="", description="When its changes are taken: auto, ask, never.")
    profile: str = ""
    backend: str = ""
    workspaces: list[str] = Field(default=[])
    supervisor_pid: int | None = None
    began_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    settled_at: AwareDatetime | None = Field(
        default=None, description="When its changes were committed or undone."
    )
    settled_by: str = ""
    reason: RunReason | None = Field(default=None, description="null while it runs.")
    code: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: str = ""
    changes: int = 0
    violations: int = 0
    limits: Allowed | None = Field(
        default=None, description="null: the run is closed, and an older version ran it."
    )
    usage: Usage = Usage()


class Hold(Shape):
    """New runs are refused until somebody lets them begin again."""

    who: str
    why: str = ""
    at: AwareDatetime | None = None


class Runs(Shape):
    """Open runs and the latest closed ones, newest first."""

    runs: list[Run]
    may_decide: bool = Field(description="Whoever asked may commit, discard and kill.")
    held: Hold | None = Field(default=None, description="null: new runs may begin.")


class Violation(Shape):
    """Something that a run tried against its policy."""

    at: AwareDatetime
    kind: ViolationKind
    detail: str
    pid: int = 0
    command: str = ""
    decision: str
    source: str = ""


class RunStory(Run):
    """One run with everything that the journal tells of it."""

    tried: list[Violation] = Field(default=[], description="Its violations, oldest first.")
    timeline: list[TimelineEntry] = Field(default=[])


class Change(Shape):
    """A path that a run would change."""

    path: str
    kind: str
    file_type: str = ""
    size_before: int | None = None
    size_after: int | None = None
    mode_before: int | None = None
    mode_after: int | None = None
    link_target: str = ""
    notes: list[str] = Field(default=[])
    diff: str = Field(default="", description="A unified diff; empty where there is no text.")


class WorkspaceChanges(Shape):
    """What a run would change in one workspace."""

    workspace: str
    changes: list[Change]


class RunDiff(Shape):
    """What a run would change."""

    id: str
    workspaces: list[WorkspaceChanges]
    is_cut: bool = Field(default=False, description="There is more than what is shown here.")


class Settled(Shape):
    """A decision about a run is carried out, and durable."""

    id: str
    did: str = Field(description="`committed`, `discarded`, `killed`, or `nothing`.")
    changes: int = 0


class Selection(BaseModel):
    """What to commit of a run, and who decides."""

    model_config = ConfigDict(extra="forbid")

    paths: list[str] = Field(
        default=[], max_length=PATHS_MAX, description="Those at and below them; none means all."
    )
    who: str = Field(default="operator", min_length=1, max_length=100)
