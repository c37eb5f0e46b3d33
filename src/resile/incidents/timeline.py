"""The story of an incident, line by line, told from the journal's records alone. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from resile.core import events
from resile.core.journal.port import Record
from resile.core.units import format_duration
from resile.core.vocabulary import ActionKind
from resile.incidents.model import Incident

TIMELINE_KINDS = (
    "action.finished",
    "action.started",
    "fault.*",
    "incident.*",
    "notice.sent",
    "operator.requested",
    "plan.*",
    "process.exited",
    "process.started",
    "service.ready",
)
"""What a timeline is told from: the kinds to read from the journal."""
LINES_MAX = 500
"""The longest story; the newest lines are kept."""
LEAD_S = 1.0
"""A fault's cause, such as an exit, is recorded at most so long before the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a story.

    Args:
        at: When it was seen.
        kind: Of the event.
        subject: What it is about.
        text: A sentence for people.
        seq: Where it stands in the journal.
    """

    at: datetime
    kind: str
    subject: str
    text: str
    seq: int


def timeline(incident: Incident, records: Iterable[Record]) -> tuple[Line, ...]:
    """Tell an incident's story, oldest first.

    Args:
        incident: The incident.
        records: Of `TIMELINE_KINDS`, from before it began, in the journal's order. More than
            belongs to it does no harm.
    """
    return tuple(_lines(incident, records))[-LINES_MAX:]


def sentence(payload: events.Payload) -> str:
    """Say in one sentence what happened; empty if a payload is not part of any story."""
    tell = _SENTENCES.get(type(payload))
    return "" if tell is None else tell(payload)


def _lines(incident: Incident, records: Iterable[Record]) -> Iterator[Line]:
    stories = {incident.incident_id, *incident.absorbed, *incident.faults}
    for record in records:
        event = record.event
        if event.correlation_id not in stories and not _is_nearby(incident, event):
            continue
        payload = event.payload()
        text = "" if payload is None else sentence(payload)
        if text:
            yield Line(
                at=event.at, kind=event.kind, subject=event.subject, text=text, seq=record.seq
            )


def _is_nearby(incident: Incident, event: events.Event) -> bool:
    """Tell whether an event of no story is of a member and lies within the incident's time."""
    if event.correlation_id or event.subject not in incident.members:
        return False
    begin = min(incident.began_at, incident.opened_at) - timedelta(seconds=LEAD_S)
    is_before_end = incident.resolved_at is None or event.at <= incident.resolved_at
    return begin <= event.at and is_before_end


def _exited(payload: events.ProcessExited) -> str:
    how = "nobody saw how"
    if payload.signal:
        how = f"killed by {payload.signal}"
    elif payload.exit_code is not None:
        how = f"exit code {payload.exit_code}"
    extras = [f"after {format_duration(payload.uptime_s)}"] if payload.uptime_s else []
    if payload.oom_kills:
        extras.append("for want of memory")
    return " ".join([f"{payload.service} (pid {payload.pid}) ended: {how}", *extras])


def _decided(payload: events.PlanDecided) -> str:
    steps = ", then ".join(f"{s.action} {_name(s.target)}" for s in payload.steps)
    return f"plan {payload.playbook} (attempt {payload.attempt}): {steps}"


def _acted(payload: events.ActionStarted) -> str:
    verbs = {
        ActionKind.START: "starts",
        ActionKind.STOP: "stops",
        ActionKind.KILL: "kills",
        ActionKind.PRUNE: "makes room for",
    }
    return f"resile {verbs[payload.action]} {_name(payload.target)}"


def _done(payload: events.ActionFinished) -> str:
    result = "done" if payload.is_ok else "failed"
    detail = f": {payload.detail}" if payload.detail else ""
    took = f" in {format_duration(payload.took_s)}" if payload.took_s else ""
    return f"{_name(payload.target)}: {result}{took}{detail}"


def _closed(payload: events.FaultClosed) -> str:
    against = "within" if payload.is_within_rto else "outside"
    return (
        f"{_name(payload.target)}: {payload.fault} {payload.outcome} after "
        f"{format_duration(payload.recovery_s)}, {against} the objective of "
        f"{format_duration(payload.rto_s)}"
    )


def _judged(payload: events.PlanFinished) -> str:
    result = "helped" if payload.is_effective else "did not help"
    return f"the plan for {_name(payload.target)} {result}: {payload.detail}"


def _ended(payload: events.IncidentResolved) -> str:
    against = "within" if payload.is_within_rto else "outside"
    return (
        f"resolved; it lasted {format_duration(payload.duration_s)}, {against} the objective of "
        f"{format_duration(payload.rto_s)}"
    )


def _asked(payload: events.OperatorRequested) -> str:
    what = ", ".join(payload.services) or "everything"
    return f"{payload.who or 'an operator'} asked for {payload.verb} of {what}"


def _flapped(payload: events.IncidentFlapping) -> str:
    if payload.is_flapping:
        return "goes up and down; held open until it is stable"
    return "does not go up and down any more"


def _name(target: str) -> str:
    return target.partition("/")[2]


_SENTENCES: Mapping[type[events.Payload], Callable[[Any], str]] = {
    events.ProcessExited: _exited,
    events.ProcessStarted: lambda p: f"{p.service} runs as pid {p.pid}",
    events.ServiceReady: lambda p: f"{p.service} is ready after {format_duration(p.after_s)}",
    events.OperatorRequested: _asked,
    events.FaultOpened: lambda p: f"{_name(p.target)}: {p.fault} ({p.priority}), {p.reason}",
    events.FaultEscalated: lambda p: f"a person must look at {_name(p.target)}: {p.reason}",
    events.FaultClosed: _closed,
    events.PlanDecided: _decided,
    events.PlanFinished: _judged,
    events.ActionStarted: _acted,
    events.ActionFinished: _done,
    events.IncidentOpened: lambda p: f"incident opened ({p.severity}): {p.title}",
    events.IncidentJoined: lambda p: f"{_name(p.target)} belongs to it: {p.why}",
    events.IncidentAbsorbed: lambda p: f"took over {p.absorbed_id}: {p.why}",
    events.IncidentRaised: lambda p: f"raised to {p.severity}: {p.why}",
    events.IncidentAcknowledged: lambda p: f"{p.who} took it on",
    events.IncidentFlapping: _flapped,
    events.IncidentResolved: _ended,
    events.IncidentReopened: lambda _p: "it came back",
    events.NoticeSent: lambda p: f"notice {p.transition}: {p.text}",
}
