"""Decide which faults are one incident, when it is over, and what people are told. Pure.

Level-triggered like recovery's decision: the same book and time give the same payloads, and
once they are folded, asking again gives none.

1. A fault joins the open incident that has a fault of the same target; or of a target upstream,
   however far, if it began from a minute before to two minutes after that one, or if recovery has
   found the upstream to be its cause.
   What is only expected to run out and what is wrong already are never one incident: nothing was
   down while it was expected.
2. Else it reopens the incident of the same fingerprint (target and sort of trouble) that was
   resolved within the last half hour. Else it opens one.
3. An incident whose root lies upstream of another's root absorbs it, with its earlier beginning.
4. Severity rises to that of the most urgent fault, and never falls.
5. An incident that flaps is held open. It is resolved when all its faults have been closed for a
   while, which is longer after flapping. What a contained run tried is closed when nothing of the
   run lives; its incident waits for a person nevertheless, for a day at most.
6. People hear of the beginning (P0 at once, else after a wait and only if it still lasts), of a
   rise in severity, of the end once it has lasted, and of the return after that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import (
    IncidentAbsorbed,
    IncidentFlapping,
    IncidentJoined,
    IncidentOpened,
    IncidentRaised,
    IncidentReopened,
    IncidentResolved,
)
from resile.core.vocabulary import FaultKind
from resile.incidents import flapping, notices
from resile.incidents.book import IncidentBook
from resile.incidents.model import (
    FLAPPING_STABLE_S,
    JOIN_AFTER_S,
    JOIN_BEFORE_S,
    MONITORING_S,
    REOPEN_WINDOW_S,
    UNSEEN_HOLD_S,
    Incident,
    KnownFault,
    failure_class,
    is_more_urgent,
)
from resile.recover import Decision, Finding, Stage, come_to_rest, made_id

_TITLES = {
    FaultKind.CRASH: "crashed",
    FaultKind.HANG: "hangs",
    FaultKind.CRASH_LOOP: "crashes again and again",
    FaultKind.START_FAILED: "does not start",
    FaultKind.NOT_READY: "is not ready",
    FaultKind.DEPENDENCY_DOWN: "suffers from a dependency",
    FaultKind.DISK_NEARLY_FULL: "is nearly full",
    FaultKind.MEMORY_PRESSURE: "is about to run out of memory",
    FaultKind.DESCRIPTORS_EXHAUSTED: "has no descriptors left",
    FaultKind.POOL_EXHAUSTED: "is stuck with a full pool",
    FaultKind.CLOCK_JUMP: "had its clock set",
    FaultKind.CHECK_DOWN: "is down",
    FaultKind.ESCAPE_ATTEMPT: "tried what its sandbox prevents",
    FaultKind.STORE_DAMAGED: "has a damaged file",
    FaultKind.STORE_LOST: "has lost data",
    FaultKind.STORE_UNREACHABLE: "cannot be reached",
    FaultKind.SNAPSHOTS_FAIL: "gets no snapshots",
    FaultKind.DATA_MISMATCHED: "has a file that rotted",
    FaultKind.COMPROMISE: "looks like an intruder",
    FaultKind.MISUSE: "looks odd",
    FaultKind.ROTATION_STUCK: "is not rotated",
    FaultKind.PROVIDER_DOWN: "cannot be had from their provider",
    FaultKind.EXHAUSTION_PREDICTED: "is expected to run out",
}


def decide(book: IncidentBook, now: datetime) -> Decision:
    """Tell everything that is due at `now`. The book is left as it is.

    Args:
        book: The folded incidents.
        now: Aware, UTC.
    """
    return come_to_rest(book, now, _STAGES)


def _assign(book: IncidentBook, _now: datetime) -> Iterator[Finding]:
    """Yield where the next fault belongs: one that others may be explained by goes first."""
    waiting = book.unassigned()
    if not waiting:
        return
    targets = {fault.target for fault in waiting}

    def rank(fault: KnownFault) -> tuple[int, datetime, str]:
        return len(book.graph.ancestors(fault.target) & targets), fault.began_at, fault.fault_id

    fault = min(waiting, key=rank)
    yield _joined(book, fault) or _reopened(book, fault) or _opened(book, fault)


def _absorb(book: IncidentBook, _now: datetime) -> Iterator[Finding]:
    active = [incident for incident in book.active() if not incident.is_prediction]
    for taker in active:
        for taken in active:
            if taker is taken:
                continue
            root = _root(book, taken)
            cause = None if root is None else _cause(book, root, taker)
            if cause is not None:
                yield IncidentAbsorbed(
                    incident_id=taker.incident_id,
                    absorbed_id=taken.incident_id,
                    why=f"{cause.target} stands upstream of {taken.target}",
                )
                return


def _raise(book: IncidentBook, _now: datetime) -> Iterator[Finding]:
    for incident in book.active():
        faults = book.faults_of(incident.incident_id)
        worst = min(faults, key=lambda f: (f.priority.value, f.fault_id), default=None)
        if worst is not None and is_more_urgent(worst.priority, incident.severity):
            yield IncidentRaised(
                incident_id=incident.incident_id,
                severity=worst.priority,
                why=f"{worst.target} {_TITLES[worst.kind]}",
            )


def _flap(book: IncidentBook, now: datetime) -> Iterator[Finding]:
    for incident in book.active():
        is_flapping = flapping.is_flapping(incident.changes, now, was_flapping=incident.is_flapping)
        if is_flapping is not incident.is_flapping:
            yield IncidentFlapping(incident_id=incident.incident_id, is_flapping=is_flapping)
        elif is_flapping:
            yield now + timedelta(seconds=flapping.SLOT_S)


def _resolve(book: IncidentBook, now: datetime) -> Iterator[Finding]:
    for incident in book.active():
        if incident.restored_at is None or incident.is_flapping:
            continue
        hold_s = FLAPPING_STABLE_S if incident.has_flapped else MONITORING_S
        if incident.is_security and not _is_looked_at(book, incident):
            hold_s = UNSEEN_HOLD_S
        quiet_since = max((*incident.changes, incident.opened_at))
        due_at = quiet_since + timedelta(seconds=hold_s)
        if now < due_at:
            yield due_at
            continue
        rto_s = incident.objective.rto_s
        yield IncidentResolved(
            incident_id=incident.incident_id,
            restored_at=incident.restored_at,
            duration_s=incident.down_s,
            rto_s=rto_s,
            is_within_rto=incident.longest_s <= rto_s and not incident.is_withdrawn,
            is_withdrawn=incident.is_withdrawn,
        )


def _is_looked_at(book: IncidentBook, incident: Incident) -> bool:
    """Tell whether a person took it on after all of its faults had been seen."""
    seen_at = max(
        (fault.opened_at for fault in book.faults_of(incident.incident_id)),
        default=incident.opened_at,
    )
    return incident.acknowledged_at is not None and incident.acknowledged_at >= seen_at


_STAGES: tuple[Stage[IncidentBook], ...] = (
    _assign,
    _absorb,
    _raise,
    _flap,
    _resolve,
    notices.due,
)


def _joined(book: IncidentBook, fault: KnownFault) -> IncidentJoined | None:
    is_prediction = fault.kind is FaultKind.EXHAUSTION_PREDICTED
    active = [one for one in book.active() if one.is_prediction is is_prediction]
    for incident in active:
        if any(f.target == fault.target for f in book.faults_of(incident.incident_id)):
            return _join(incident, fault, "the same target")
    if is_prediction:
        return None
    causes = [(_cause(book, fault, incident), incident) for incident in active]
    found = [(cause, incident) for cause, incident in causes if cause is not None]
    if not found:
        return None
    cause, incident = min(found, key=lambda pair: (pair[0].began_at, pair[0].fault_id))
    return _join(incident, fault, f"{cause.target} stands upstream")


def _join(incident: Incident, fault: KnownFault, why: str) -> IncidentJoined:
    return IncidentJoined(
        incident_id=incident.incident_id,
        fault_id=fault.fault_id,
        target=fault.target,
        why=why,
    )


def _reopened(book: IncidentBook, fault: KnownFault) -> IncidentReopened | None:
    oldest = fault.opened_at - timedelta(seconds=REOPEN_WINDOW_S)
    fingerprint = (fault.target, failure_class(fault.kind))
    for incident in book.newest_first():
        is_same = (incident.target, incident.failure_class) == fingerprint
        is_recent = incident.resolved_at is not None and incident.resolved_at > oldest
        if is_same and is_recent and not incident.absorbed_into:
            return IncidentReopened(incident_id=incident.incident_id, fault_id=fault.fault_id)
    return None


def _opened(book: IncidentBook, fault: KnownFault) -> IncidentOpened:
    kind, _, name = fault.target.partition("/")
    name = f"a run under {name}" if kind == "profile" else name or kind
    reason = f": {fault.reason}" if fault.reason else ""
    return IncidentOpened(
        incident_id=made_id("inc", fault.began_at, fault.fault_id),
        fault_id=fault.fault_id,
        target=fault.target,
        severity=fault.priority,
        title=f"{name} {_TITLES[fault.kind]}{reason}{_seen_before(book, fault)}",
        began_at=fault.began_at,
    )


def _seen_before(book: IncidentBook, fault: KnownFault) -> str:
    """Say that a crash is one of several that are equal; empty if it is the first of its kind."""
    problem = book.problems.get(fault.problem)
    if problem is None or problem.count == 1:
        return ""
    return f" (crash {problem.count} of this kind since {problem.first_at:%Y-%m-%d %H:%M} UTC)"


def _root(book: IncidentBook, incident: Incident) -> KnownFault | None:
    """Give the earliest fault of an incident's own target."""
    faults = [f for f in book.faults_of(incident.incident_id) if f.target == incident.target]
    return min(faults, key=lambda fault: (fault.began_at, fault.fault_id), default=None)


def _cause(book: IncidentBook, fault: KnownFault, incident: Incident) -> KnownFault | None:
    """Give the earliest fault of an incident that explains a fault from upstream; None if none."""
    ancestors = book.graph.ancestors(fault.target)
    found = [
        cause
        for cause in book.faults_of(incident.incident_id)
        if cause.target in ancestors and _is_in_time(cause, fault)
    ]
    return min(found, key=lambda cause: (cause.began_at, cause.fault_id), default=None)


def _is_in_time(cause: KnownFault, fault: KnownFault) -> bool:
    if fault.kind is FaultKind.DEPENDENCY_DOWN:
        return True
    after_s = (fault.began_at - cause.began_at).total_seconds()
    return -JOIN_BEFORE_S <= after_s <= JOIN_AFTER_S
