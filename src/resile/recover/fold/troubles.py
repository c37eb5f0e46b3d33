"""How what other parts tell is wrong becomes faults of recovery, and stops being so.

Predictions, stores, secrets and contained runs have watchers of their own, which journal what they see; incidents tell
it from there. Recovery journals nothing of it unless it does something about it: so it keeps
every trouble that is open, and takes those for faults that one of the system's playbooks may be
for. Their ids are those that incidents know, so that nothing is told twice.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from resile.core.events import (
    EscapeContained,
    EscapeNoticed,
    PredictionEnded,
    PredictionMade,
    TroubleEnded,
    TroubleNoticed,
)
from resile.core.units import format_duration
from resile.core.vocabulary import Cause, FaultKind, Priority, Resource
from resile.recover.facts import OpenFault
from resile.recover.findings import prediction_detail, trouble_id
from resile.recover.fold.table import Folds
from resile.recover.matching import misfit
from resile.recover.model import SystemSpec, service_of
from resile.recover.store import Store

TROUBLES_MAX = 200
"""So many are kept, the newest: a disk that dies damages every file, and one remedy is for all of them."""

_CAUSES_OF_RESOURCES = {
    Resource.MEMORY: Cause.MEMORY,
    Resource.DESCRIPTORS: Cause.DESCRIPTORS,
    Resource.DISK: Cause.DISK_FULL,
    Resource.INODES: Cause.DISK_FULL,
    Resource.POOL: Cause.POOL,
    Resource.CERTIFICATE: Cause.CERTIFICATE,
    Resource.SECRET: Cause.SECRET,
}
_CAUSES_OF_KINDS = {
    FaultKind.STORE_DAMAGED: Cause.CORRUPTION,
    FaultKind.STORE_LOST: Cause.CORRUPTION,
    FaultKind.DATA_MISMATCHED: Cause.CORRUPTION,
    FaultKind.COMPROMISE: Cause.SECRET,
    FaultKind.ROTATION_STUCK: Cause.SECRET,
}


def may_concern(spec: SystemSpec, trouble: OpenFault) -> bool:
    """Tell whether a playbook of the system may be for a trouble, now or later."""
    name = service_of(trouble.target)
    if name is not None and name not in spec.services:
        return False
    return any(
        not misfit(book, trouble) and not (book.match.needs_oom_restart and not _asks(spec, name))
        for book in spec.playbooks
    )


def take_up(store: Store) -> None:
    """Take troubles for faults that are none yet: a playbook is for them by now, or it is their turn.

    Of many that one remedy is for, such as the damaged files of a store, or runs under the same limits,
    one at a time is a fault.
    """
    for trouble in store.troubles.values():
        if trouble.fault_id not in store.faults:
            _promote(store, trouble)


def _prediction_made(store: Store, payload: PredictionMade, at: datetime) -> None:
    if payload.is_muted:
        return
    kind = FaultKind.EXHAUSTION_PREDICTED
    left = format_duration(max(0.0, payload.left_s))
    trouble = _trouble(
        fault_id=trouble_id(kind, payload.target, prediction_detail(payload)),
        kind=kind,
        target=payload.target,
        priority=Priority.P3,
        began_at=at,
        reason=f"{prediction_detail(payload).rstrip()}, in about {left}",
        evidence={
            "resource": payload.resource.value,
            "detail": payload.detail,
            "cause": _CAUSES_OF_RESOURCES[payload.resource].value,
        },
    )
    _begin(store, trouble)


def _prediction_ended(store: Store, payload: PredictionEnded, at: datetime) -> None:
    kind = FaultKind.EXHAUSTION_PREDICTED
    _end(store, trouble_id(kind, payload.target, prediction_detail(payload)), at)


def _trouble_noticed(store: Store, payload: TroubleNoticed, _at: datetime) -> None:
    if payload.fault is FaultKind.EXHAUSTION_PREDICTED:
        return  # The prediction itself has said more.
    trouble = _trouble(
        fault_id=payload.trouble_id,
        kind=payload.fault,
        target=payload.target,
        priority=payload.priority,
        began_at=payload.began_at,
        reason=payload.reason,
        evidence={"cause": str(_CAUSES_OF_KINDS.get(payload.fault, ""))},
    )
    _begin(store, trouble)


def _trouble_ended(store: Store, payload: TroubleEnded, _at: datetime) -> None:
    _end(store, payload.trouble_id, payload.ended_at)


def _escape_noticed(store: Store, payload: EscapeNoticed, _at: datetime) -> None:
    trouble = _trouble(
        fault_id=payload.run_id,
        kind=FaultKind.ESCAPE_ATTEMPT,
        target=payload.target,
        priority=payload.priority,
        began_at=payload.began_at,
        reason=payload.reason,
        evidence={"run_id": payload.run_id},
    )
    _begin(store, trouble)


def _escape_contained(store: Store, payload: EscapeContained, _at: datetime) -> None:
    _end(store, payload.run_id, payload.ended_at)


def _trouble(*, priority: Priority, **fields: Any) -> OpenFault:
    return OpenFault(priority=priority, objective=priority, is_foreign=True, **fields)


def _begin(store: Store, trouble: OpenFault) -> None:
    """Note a trouble; one that is told again goes on, or is back before its end was recorded."""
    id_ = trouble.fault_id
    if known := store.faults.get(id_):
        trouble = store.faults[id_] = replace(known, ended_at=None)
    store.troubles[id_] = trouble
    _promote(store, trouble)
    for oldest in list(store.troubles)[:-TROUBLES_MAX]:
        _end(store, oldest, trouble.began_at)


def _promote(store: Store, trouble: OpenFault) -> None:
    is_covered = any(_is_one_with(trouble, fault) for fault in store.faults.values())
    if not is_covered and may_concern(store.spec, trouble):
        store.faults[trouble.fault_id] = trouble


def _is_one_with(trouble: OpenFault, fault: OpenFault) -> bool:
    """Tell whether a remedy for a fault is one for a trouble, too."""
    is_same = (trouble.kind, trouble.target) == (fault.kind, fault.target)
    is_other = trouble.fault_id != fault.fault_id
    return is_same and is_other and trouble.evidence.get("cause") == fault.evidence.get("cause")


def _asks(spec: SystemSpec, name: str | None) -> bool:
    return name is not None and spec.services[name].is_restarted_before_oom


def _end(store: Store, fault_id: str, at: datetime) -> None:
    """Forget a trouble that is over; what was done about it is judged first.

    What a run tried is answered although the run is over: mostly it is, when anybody hears of it.
    """
    store.troubles.pop(fault_id, None)
    fault = store.faults.get(fault_id)
    if fault is None:
        return
    if fault.attempts or fault.kind is FaultKind.ESCAPE_ATTEMPT:
        store.faults[fault_id] = replace(fault, ended_at=at)
        return
    del store.faults[fault_id]
    store.proposals = {i: p for i, p in store.proposals.items() if p.fault_id != fault_id}
    take_up(store)


FOLDS: Folds = {
    PredictionMade: _prediction_made,
    PredictionEnded: _prediction_ended,
    TroubleNoticed: _trouble_noticed,
    TroubleEnded: _trouble_ended,
    EscapeNoticed: _escape_noticed,
    EscapeContained: _escape_contained,
}
