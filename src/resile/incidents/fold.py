"""How each event changes the book of incidents: one short function for each payload."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from resile.core.events import (
    ClockJumped,
    EscapeContained,
    EscapeNoticed,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    IncidentAbsorbed,
    IncidentAcknowledged,
    IncidentFlapping,
    IncidentJoined,
    IncidentOpened,
    IncidentRaised,
    IncidentReopened,
    IncidentResolved,
    NoticeSent,
    ObjectiveAtRisk,
    ObjectiveMissed,
    Payload,
    ProcessExited,
    TroubleEnded,
    TroubleNoticed,
)
from resile.core.shifting import with_times
from resile.core.units import format_duration
from resile.core.vocabulary import FaultKind, Outcome
from resile.incidents import flapping
from resile.incidents.model import (
    CRASHES_MAX,
    FAULTS_MAX,
    INCIDENTS_MAX,
    MEMBERS_MAX,
    PROBLEMS_MAX,
    Alarm,
    Incident,
    KnownFault,
    Problem,
    Told,
    failure_class,
    most_urgent,
    problem_key,
)
from resile.incidents.pages import Pages
from resile.recover import service_of


def _process_exited(book: Pages, payload: ProcessExited, at: datetime) -> None:
    """Count a crash, and note it in the incidents of its service."""
    if not payload.fingerprint:
        return
    key = problem_key(payload.service, payload.fingerprint)
    known = book.problems.pop(key, None)
    book.problems[key] = Problem(
        service=payload.service,
        fingerprint=payload.fingerprint,
        count=known.count + 1 if known else 1,
        first_at=known.first_at if known else at,
        last_at=at,
        text=payload.explanation,
        place=payload.place,
        bundle=payload.bundle,
    )
    for oldest in list(book.problems)[:-PROBLEMS_MAX]:
        del book.problems[oldest]
    for incident in list(book.incidents.values()):
        if incident.is_active and payload.subject in incident.members:
            _note_crash(book, incident, key)


def _note_crash(book: Pages, incident: Incident, key: str) -> None:
    others = (crash for crash in incident.crashes if crash != key)
    book.change(incident.incident_id, crashes=(*others, key)[-CRASHES_MAX:])


def _fault_opened(book: Pages, payload: FaultOpened, at: datetime) -> None:
    fingerprint = payload.evidence.get("fingerprint", "")
    name = service_of(payload.target)
    book.faults[payload.fault_id] = KnownFault(
        fault_id=payload.fault_id,
        kind=payload.fault,
        target=payload.target,
        priority=payload.priority,
        objective=payload.priority,
        began_at=payload.began_at,
        opened_at=at,
        reason=payload.reason,
        problem=problem_key(name, fingerprint) if name and fingerprint else "",
    )


def _fault_escalated(book: Pages, payload: FaultEscalated, _at: datetime) -> None:
    fault = book.faults.get(payload.fault_id)
    if fault is not None:
        book.faults[fault.fault_id] = replace(fault, priority=payload.priority)


def _objective_told(book: Pages, payload: ObjectiveAtRisk | ObjectiveMissed, _at: datetime) -> None:
    """Note what is told of a fault's objective with the incident that it belongs to."""
    fault = book.faults.get(payload.fault_id)
    incident = book.incidents.get(fault.incident_id) if fault is not None else None
    is_late = isinstance(payload, ObjectiveMissed)
    alarm = Alarm.MISSED if is_late else Alarm.AT_RISK
    if incident is None or not alarm.is_worse_than(incident.alarm):
        return
    limit = format_duration(payload.limit_s)
    text = f"not recovered within {limit}" if is_late else f"may not recover within {limit}"
    book.change(incident.incident_id, alarm=alarm, alarm_text=f"{text} ({payload.reason})")


def _fault_closed(book: Pages, payload: FaultClosed, at: datetime) -> None:
    fault = book.faults.get(payload.fault_id)
    if fault is None or not fault.is_open:  # Who noticed it may have told its end already.
        return
    closed = replace(
        fault,
        closed_at=at,
        restored_at=payload.restored_at,
        is_withdrawn=payload.outcome is Outcome.WITHDRAWN,
    )
    _close(book, closed, at)


def _escape_noticed(book: Pages, payload: EscapeNoticed, at: datetime) -> None:
    """Take a run for the fault that it is; its id is the fault's."""
    book.read_seq = max(book.read_seq, payload.read_seq)
    known = book.faults.get(payload.run_id)
    if known is not None:
        priority = most_urgent(known.priority, payload.priority)
        book.faults[known.fault_id] = replace(known, priority=priority)
        return
    book.faults[payload.run_id] = KnownFault(
        fault_id=payload.run_id,
        kind=FaultKind.ESCAPE_ATTEMPT,
        target=payload.target,
        priority=payload.priority,
        objective=payload.priority,
        began_at=payload.began_at,
        opened_at=at,
        reason=payload.reason,
    )


def _escape_contained(book: Pages, payload: EscapeContained, at: datetime) -> None:
    book.read_seq = max(book.read_seq, payload.read_seq)
    fault = book.faults.get(payload.run_id)
    if fault is not None and fault.is_open:
        closed = replace(
            fault,
            priority=most_urgent(fault.priority, payload.priority),
            closed_at=at,
            restored_at=payload.ended_at,
        )
        _close(book, closed, at)


def trouble_fault(payload: TroubleNoticed, at: datetime) -> KnownFault:
    """Give the fault that a trouble is; its id is the trouble's."""
    return KnownFault(
        fault_id=payload.trouble_id,
        kind=payload.fault,
        target=payload.target,
        priority=payload.priority,
        objective=payload.priority,
        began_at=payload.began_at,
        opened_at=at,
        reason=payload.reason,
    )


def _trouble_noticed(book: Pages, payload: TroubleNoticed, at: datetime) -> None:
    """Take a trouble for a fault; one that comes back while its incident is watched goes on."""
    book.trouble_seq = max(book.trouble_seq, payload.read_seq)
    known = book.faults.get(payload.trouble_id)
    fault = trouble_fault(payload, at)
    book.faults[fault.fault_id] = replace(fault, incident_id=known.incident_id if known else "")
    if known is not None and known.incident_id:
        _refresh(book, known.incident_id, at)


def _trouble_ended(book: Pages, payload: TroubleEnded, at: datetime) -> None:
    book.trouble_seq = max(book.trouble_seq, payload.read_seq)
    fault = book.faults.get(payload.trouble_id)
    if fault is not None and fault.is_open:
        _close(book, replace(fault, closed_at=at, restored_at=payload.ended_at), at)


def _close(book: Pages, closed: KnownFault, at: datetime) -> None:
    book.faults[closed.fault_id] = closed
    if closed.incident_id:
        _forget_older(book, closed)
        _refresh(book, closed.incident_id, at)


def _forget_older(book: Pages, closed: KnownFault) -> None:
    """Forget the other closed faults of the same target in the same incident."""
    for other in book.faults_of(closed.incident_id):
        is_other = other.fault_id != closed.fault_id and not other.is_open
        if is_other and other.target == closed.target:
            del book.faults[other.fault_id]


def _opened(book: Pages, payload: IncidentOpened, at: datetime) -> None:
    fault = book.faults.get(payload.fault_id)
    book.incidents[payload.incident_id] = Incident(
        incident_id=payload.incident_id,
        target=payload.target,
        failure_class="" if fault is None else failure_class(fault.kind),
        severity=payload.severity,
        objective=payload.severity,
        title=payload.title,
        began_at=payload.began_at,
        opened_at=at,
        spell_began_at=payload.began_at,
        changes=(at,),
    )
    _take_in(book, payload.incident_id, payload.fault_id, payload.target, at)


def _joined(book: Pages, payload: IncidentJoined, at: datetime) -> None:
    _take_in(book, payload.incident_id, payload.fault_id, payload.target, at)


def _reopened(book: Pages, payload: IncidentReopened, at: datetime) -> None:
    incident = book.incidents.get(payload.incident_id)
    if incident is None:
        return
    book.incidents[incident.incident_id] = replace(
        incident, resolved_at=None, reopened_count=incident.reopened_count + 1
    )
    _take_in(book, incident.incident_id, payload.fault_id, incident.target, at)


def _absorbed(book: Pages, payload: IncidentAbsorbed, at: datetime) -> None:
    taker = book.incidents.get(payload.incident_id)
    taken = book.incidents.get(payload.absorbed_id)
    if taker is None or taken is None:
        return
    for fault in book.faults_of(taken.incident_id):
        book.faults[fault.fault_id] = replace(fault, incident_id=taker.incident_id)
    book.incidents[taken.incident_id] = replace(
        taken, absorbed_into=taker.incident_id, resolved_at=at, is_flapping=False
    )
    is_told = taken.told is not Told.NOTHING and taker.told is Told.NOTHING
    is_taken_on = bool(taken.acknowledged_by) and not taker.acknowledged_by
    book.incidents[taker.incident_id] = replace(
        taker,
        objective=most_urgent(taker.objective, taken.objective),
        began_at=min(taker.began_at, taken.began_at),
        spell_began_at=min(taker.spell_began_at, taken.spell_began_at),
        faults=(*taken.faults, *taker.faults)[-FAULTS_MAX:],
        members=_merged(taker.members, taken.members),
        absorbed=(*taker.absorbed, taken.incident_id),
        told=taken.told if is_told else taker.told,
        told_severity=taken.told_severity if is_told else taker.told_severity,
        acknowledged_by=taken.acknowledged_by if is_taken_on else taker.acknowledged_by,
        acknowledged_at=taken.acknowledged_at if is_taken_on else taker.acknowledged_at,
    )
    _refresh(book, taker.incident_id, at)


def _raised(book: Pages, payload: IncidentRaised, _at: datetime) -> None:
    book.change(payload.incident_id, severity=payload.severity)


def _acknowledged(book: Pages, payload: IncidentAcknowledged, at: datetime) -> None:
    book.change(payload.incident_id, acknowledged_by=payload.who, acknowledged_at=at)


def _flapping(book: Pages, payload: IncidentFlapping, _at: datetime) -> None:
    incident = book.incidents.get(payload.incident_id)
    if incident is not None:
        has_flapped = incident.has_flapped or payload.is_flapping
        book.change(
            payload.incident_id,
            is_flapping=payload.is_flapping,
            has_flapped=has_flapped,
        )


def _resolved(book: Pages, payload: IncidentResolved, at: datetime) -> None:
    book.change(
        payload.incident_id,
        resolved_at=at,
        restored_at=payload.restored_at,
        is_flapping=False,
        has_flapped=False,
    )
    for fault in book.faults_of(payload.incident_id):
        del book.faults[fault.fault_id]
    _forget_oldest(book)


def _notice_sent(book: Pages, payload: NoticeSent, _at: datetime) -> None:
    incident = book.incidents.get(payload.incident_id)
    if incident is None:
        return
    is_end = payload.transition.startswith("resolved")
    book.change(
        payload.incident_id,
        told=Told.RESOLVED if is_end else Told.OPEN,
        told_severity=incident.severity,
        told_alarm=incident.alarm,
        notices_count=incident.notices_count + 1,
    )


def _take_in(book: Pages, incident_id: str, fault_id: str, target: str, at: datetime) -> None:
    """Make a fault part of an incident."""
    incident = book.incidents.get(incident_id)
    fault = book.faults.get(fault_id)
    if incident is None:
        return
    if fault is not None:
        book.faults[fault_id] = taken = replace(fault, incident_id=incident_id)
        if not taken.is_open:  # It came and went before this was decided.
            _forget_older(book, taken)
    book.change(
        incident_id,
        faults=(*incident.faults, fault_id)[-FAULTS_MAX:],
        members=_merged(incident.members, (target,)),
        began_at=min(incident.began_at, fault.began_at) if fault else incident.began_at,
        objective=most_urgent(incident.objective, (fault or incident).objective),
    )
    if fault is not None and fault.problem:
        _note_crash(book, book.incidents[incident_id], fault.problem)
    _refresh(book, incident_id, at)


def _refresh(book: Pages, incident_id: str, at: datetime) -> None:
    """Note whether an incident went down or up, and how long it was down."""
    incident = book.incidents.get(incident_id)
    if incident is None:
        return
    faults = book.faults_of(incident_id)
    is_down = any(fault.is_open for fault in faults)
    was_down = incident.restored_at is None
    if is_down and not was_down:
        began_at = min(fault.began_at for fault in faults if fault.is_open)
        book.change(
            incident_id,
            restored_at=None,
            is_withdrawn=False,
            spell_began_at=max(began_at, incident.restored_at or began_at),
            changes=flapping.remembered(incident.changes, at),
        )
    elif was_down and not is_down:
        restored_at = max((f.restored_at for f in faults if f.restored_at), default=at)
        spell_s = max(0.0, (restored_at - incident.spell_began_at).total_seconds())
        book.change(
            incident_id,
            restored_at=restored_at,
            alarm=Alarm.NONE,
            alarm_text="",
            told_alarm=Alarm.NONE,
            is_withdrawn=any(f.is_withdrawn for f in faults if f.target == incident.target),
            down_s=incident.down_s + spell_s,
            longest_s=max(incident.longest_s, spell_s),
            changes=flapping.remembered(incident.changes, at),
        )


def _merged(members: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*members, *more)))[:MEMBERS_MAX]


def _forget_oldest(book: Pages) -> None:
    resolved = [i for i in book.incidents.values() if i.resolved_at is not None]
    resolved.sort(key=lambda i: (i.resolved_at or i.opened_at, i.incident_id))
    for incident in resolved[:-INCIDENTS_MAX]:
        del book.incidents[incident.incident_id]


def _clock_jumped(book: Pages, payload: ClockJumped, at: datetime) -> None:
    """Move what is still going on, so that it is resolved when it was meant to be."""
    move = partial(payload.moved, told_at=at)
    going_on = {key: one for key, one in book.incidents.items() if one.is_active}
    book.incidents.update(with_times(going_on, move))
    faults = {i: f for i, f in book.faults.items() if f.incident_id in going_on}
    book.faults.update(with_times(faults, move))


FOLDS: Mapping[type[Payload], Callable[[Pages, Any, datetime], None]] = {
    ClockJumped: _clock_jumped,
    EscapeContained: _escape_contained,
    EscapeNoticed: _escape_noticed,
    FaultOpened: _fault_opened,
    FaultEscalated: _fault_escalated,
    FaultClosed: _fault_closed,
    ObjectiveAtRisk: _objective_told,
    ObjectiveMissed: _objective_told,
    IncidentOpened: _opened,
    IncidentJoined: _joined,
    IncidentReopened: _reopened,
    IncidentAbsorbed: _absorbed,
    IncidentRaised: _raised,
    IncidentAcknowledged: _acknowledged,
    IncidentFlapping: _flapping,
    IncidentResolved: _resolved,
    NoticeSent: _notice_sent,
    ProcessExited: _process_exited,
    TroubleEnded: _trouble_ended,
    TroubleNoticed: _trouble_noticed,
}
"""Each function gets a payload of exactly the type that it stands under."""
