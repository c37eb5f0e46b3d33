"""The shapes of the JSON that the API gives, for its OpenAPI description and for its tests.

Answers are sent as the view gave them, not squeezed through these models: a page with one odd
field beats an error in the middle of an outage. Every model therefore lets later fields pass.
`tests/unit/web` checks that what is sent fits.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from resile.core.vocabulary import (
    CheckGroup,
    CheckState,
    Part,
    Phase,
    Priority,
    Resource,
    ServiceState,
)


class Shape(BaseModel):
    """The base of every model: fields of later versions are kept."""

    model_config = ConfigDict(extra="allow")


class Bar(Shape):
    """One stretch of a service's past."""

    starts_at: AwareDatetime = Field(alias="from")
    state: CheckState | None = Field(description="The worst of the stretch; null: nobody looked.")


class Uptime(Shape):
    """A service's past, oldest bar first."""

    availability: float | None = Field(default=None, ge=0, le=1, description="null: no data.")
    bars: list[Bar] = []


class Deduction(Shape):
    """What was taken off a score."""

    points: float
    what: str = Field(description="The dimension, `prediction` or `cap`.")
    why: str


class HealthScore(Shape):
    """How well something is, in points, and why there are not more."""

    score: int = Field(ge=0, le=100)
    grade: ServiceState
    change: float | None = Field(
        default=None, description="The last hour against the one before, in points; null: unknown."
    )
    dimensions: dict[str, int] = Field(default={}, description="0 to 100, by dimension.")
    deductions: list[Deduction] = Field(default=[], description="The most first.")


class Prediction(Shape):
    """A resource that is expected to run out."""

    id: str
    resource: Resource
    target: str
    detail: str = ""
    predictor: str
    made_at: AwareDatetime
    left_s: float
    confidence: float = Field(ge=0, le=1)
    used: float = Field(description="Bytes or a count; 0 where only time runs out.")
    limit: float
    slope_per_s: float


class Service(Shape):
    """A supervised service."""

    name: str
    state: CheckState
    phase: Phase
    pid: int | None = None
    restarts: int = 0
    since: AwareDatetime | None = Field(default=None, description="When the state began.")
    generation: int = 0
    reason: str = ""
    depends_on: list[str] = []
    memory_bytes: int | None = None
    cpu_share: float | None = Field(default=None, description="1.0 is one core.")
    health: HealthScore | None = Field(default=None, description="null: nothing is known of it.")
    uptime_s: float | None = None
    uptime: Uptime = Uptime()


class Check(Shape):
    """A check's last word."""

    id: str
    state: CheckState
    service: str = ""
    group: CheckGroup = CheckGroup.SYSTEM
    since: AwareDatetime | None = None
    checked_at: AwareDatetime | None = Field(default=None, description="When it last looked.")
    reason: str = ""
    latency_s: float | None = None


class Brain(Shape):
    """The process that decides."""

    pid: int
    started_at: AwareDatetime | None = None


class Guard(Shape):
    """The process that owns the services."""

    pid: int | None = None


class JournalHead(Shape):
    """The end of the chain."""

    seq: int = 0
    hash: str = ""
    trouble: str = Field(default="", description="Why nothing can be appended; empty if it can.")


class Verdict(Shape):
    """The whole state in one sentence."""

    state: CheckState
    text: str
    hint: str = Field(default="", description="A command that helps; empty if none is needed.")
    since: AwareDatetime | None = None


class Address(Shape):
    """Where the dashboard listens."""

    host: str
    port: int


class SwitchedOff(Shape):
    """A part that a person switched off."""

    word: str = Field(description="What switches it: `snapshots`, `playbook/NAME`.")
    part: Part
    name: str = Field(default="", description="Of the playbook; else empty.")
    since: AwareDatetime
    until: AwareDatetime | None = Field(
        default=None, description="It is on again then; null: the emergency stop holds it."
    )
    why: str = ""
    who: str = ""


class EmergencyStop(Shape):
    """An emergency stop that holds."""

    at: AwareDatetime
    who: str = ""
    why: str = ""
    is_stopping_services: bool
    is_carried_out: bool = Field(description="Runs are killed, faults on purpose taken back.")
    killed: int = Field(default=0, description="Contained runs.")
    undone: int = Field(default=0, description="Faults on purpose.")
    problems: list[str] = Field(default=[], description="What could not be done.")


class Switched(Shape):
    """What is switched off."""

    switches: list[SwitchedOff] = []
    emergency: EmergencyStop | None = None


class Status(Shape):
    """Everything at a glance."""

    name: str
    state: CheckState
    verdict: Verdict | None = None
    brain: Brain
    guard: Guard = Guard()
    journal: JournalHead = JournalHead()
    services: list[Service] = []
    checks: list[Check] = []
    incidents_open: int = 0
    switches: list[SwitchedOff] = []
    emergency: EmergencyStop | None = Field(default=None, description="null: none holds.")
    health: HealthScore | None = Field(default=None, description="null: nothing is known yet.")
    predictions: list[Prediction] = Field(default=[], description="What comes first is first.")
    http: Address | None = Field(default=None, description="null: the port is taken.")


class Checks(Shape):
    """Every check."""

    checks: list[Check]


class TimelineEntry(Shape):
    """One step of an incident."""

    at: AwareDatetime
    kind: str
    subject: str = ""
    text: str = ""
    seq: int = 0


class Crash(Shape):
    """Equal crashes of a service, of which one at least was seen in an incident."""

    service: str
    fingerprint: str
    count: int = Field(ge=1, description="How many there were, in other incidents too.")
    first_at: AwareDatetime
    last_at: AwareDatetime
    text: str = Field(default="", description="Why the last one ended.")
    place: str = Field(default="", description="Where in its program; empty: nobody knows.")
    bundle: str = Field(default="", description="Path of the last one's crash bundle.")


class Incident(Shape):
    """One story of trouble, from its begin to its end."""

    id: str
    title: str
    severity: Priority
    state: Literal["open", "acknowledged", "monitoring", "resolved"]
    target: str = ""
    began_at: AwareDatetime
    opened_at: AwareDatetime
    restored_at: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None
    acknowledged_by: str | None = None
    flapping: bool = False
    absorbed_into: str | None = None
    duration_s: float | None = None
    rto_s: float
    is_within_rto: bool | None = Field(
        default=None, description="null: the trouble goes on, or was withdrawn."
    )
    is_withdrawn: bool = Field(
        default=False,
        description="It ended because an operator took its root out; it did not recover.",
    )
    is_security: bool = Field(
        default=False,
        description="A contained run tried what its sandbox prevents: it waits for a person.",
    )
    faults: list[str] = []
    members: list[str] = []
    crashes: list[Crash] = []
    timeline: list[TimelineEntry] = []


class Incidents(Shape):
    """Incidents, newest first."""

    incidents: list[Incident]


class EventModel(Shape):
    """A record of the journal."""

    seq: int
    id: str
    at: AwareDatetime
    kind: str
    subject: str
    actor: str
    text: str = Field(default="", description="The event in one line, for people.")
    correlation_id: str = ""
    version: int = 1
    body: dict[str, Any]
    hash: str


class Events(Shape):
    """Records of the journal, in the order that was asked for."""

    events: list[EventModel]


class Component(Shape):
    """A service or a check, as health endpoints tell it."""

    name: str
    status: CheckState
    message: str = ""
    last_check: AwareDatetime | None = None
    response_ms: float | None = None


class Health(Shape):
    """The overall health."""

    status: CheckState
    timestamp: AwareDatetime
    uptime_seconds: float | None = None
    components: dict[str, Component] = {}


class Liveness(Health):
    """Whether resile itself works. It does if it answers."""

    alive: bool = True


class Readiness(Health):
    """Whether the system can take work."""

    ready: bool
    reason: str | None = None


class ConflictPath(Shape):
    """A path that somebody else changed meanwhile."""

    path: str
    what: str


class Error(Shape):
    """What went wrong, and what to do next."""

    error: str
    hint: str = ""
    paths: list[ConflictPath] = Field(
        default=[], description="Where a commit was refused because of somebody else's changes."
    )


class Accepted(Shape):
    """A request is in the journal; it is carried out from there."""

    accepted: str
    services: list[str] = Field(default=[], description="Empty means all.")


class Work(BaseModel):
    """Work on a service or a check that begins or ends."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=200, description="`service/NAME` or `check/ID`.")
    is_on: bool = Field(description="It begins; false: it ends.")
    for_s: float | None = Field(
        default=None,
        gt=0,
        le=366 * 86400,
        description="It ends by itself after so many seconds; at most a year.",
    )
    why: str = Field(default="", max_length=200)
    who: str = Field(default="operator", min_length=1, max_length=100)


class SwitchWish(BaseModel):
    """Parts that are to be switched off or on."""

    model_config = ConfigDict(extra="forbid")

    parts: list[Annotated[str, Field(max_length=200)]] = Field(
        min_length=1, max_length=50, description="`snapshots`, `playbook/NAME`."
    )
    is_on: bool
    for_s: float | None = Field(
        default=None, description="Off, it ends by itself after so many seconds: 1 to 30 days."
    )
    why: str = Field(default="", max_length=200, description="Off, it is required.")
    who: str = Field(default="operator", min_length=1, max_length=100)


class StopWish(BaseModel):
    """An emergency stop."""

    model_config = ConfigDict(extra="forbid")

    is_stopping_services: bool
    why: str = Field(min_length=1, max_length=200)
    who: str = Field(default="operator", min_length=1, max_length=100)


class Person(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid")

    who: str = Field(default="operator", min_length=1, max_length=100)
