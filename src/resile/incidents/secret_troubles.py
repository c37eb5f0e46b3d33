"""Tell from the records of the secretkeeper what is trouble, and when it is over. Pure.

A rotation that waits, or failed, is P2; P1 if somebody else has the secret. A client that looks
wrong is P2 until a person took it on, or it has been quiet; one that was cut off, or touched a
canary, is P1 until a person took it on, or gave it its secrets again. A provider that is away for
half a minute is P2.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from resile.core.events import (
    BrainStarted,
    ClientReleased,
    IncidentAcknowledged,
    Payload,
    ProviderFound,
    ProviderLost,
    RotationAdvanced,
    RotationBegun,
    RotationEnded,
    RotationWaits,
    SecretAnomaly,
    SecretWritten,
    TroubleEnded,
)
from resile.core.journal.port import Record
from resile.core.units import format_duration
from resile.core.vocabulary import (
    FaultKind,
    Priority,
    RotationOutcome,
    RotationReason,
    SecretResponse,
)
from resile.incidents._trouble import Told, ended, noticed
from resile.incidents.model import KnownFault
from resile.recover import trouble_id

LASTING_KINDS = (
    "brain.started",
    "provider.found",
    "provider.lost",
    "rotation.advanced",
    "rotation.begun",
    "rotation.ended",
    "rotation.waits",
    "secret.anomaly",
)
KINDS = (
    *LASTING_KINDS,
    "client.released",
    "incident.acknowledged",
    "secret.written",
)
FAULTS = (
    FaultKind.COMPROMISE,
    FaultKind.MISUSE,
    FaultKind.PROVIDER_DOWN,
    FaultKind.ROTATION_STUCK,
)
WAITS_S = 60.0
"""Longer than any consumer takes that is about to acknowledge."""
WAITS_COMPROMISE_S = 10.0
"""Thrice the usual deadline, after which nobody is waited for."""
LOST_S = 30.0
"""Shorter ones nobody notices: values are served from memory meanwhile."""
QUIET_S = 900.0
"""As the usual cool-down of `[secrets.guard]`."""
REMEMBERED_MAX = 500
"""Rotations and clients; the oldest go first."""
SECRETS = "secrets"
"""The target of what is wrong with all of them."""
_CANARY = "canary"
"""The word of `resile.secrets.anomaly` for it: incidents know the journal alone."""
_CLIENT_FAULTS = (FaultKind.MISUSE, FaultKind.COMPROMISE)
_WAITS, _ABORTED = "waits", "aborted"
_PROVIDER_ID = trouble_id(FaultKind.PROVIDER_DOWN, SECRETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """How a rotation began."""

    at: datetime
    is_urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A rotation that waits."""

    name: str
    since: datetime
    why: str


@dataclass(slots=True)
class SecretWaiting:
    """What is only trouble if it lasts, and what tells how grave another record is. Not thread-safe."""

    begun: dict[str, _Begun] = field(default_factory=dict)
    """By rotation."""
    held: dict[str, _Held] = field(default_factory=dict)
    """By rotation."""
    lost: ProviderLost | None = None
    """What the provider was last heard of."""
    odd: dict[str, datetime] = field(default_factory=dict)
    """When a client last looked wrong."""

    def take(self, record: Record) -> None:
        """Fold a record."""
        payload, at = record.event.payload(), record.event.at
        if isinstance(payload, RotationBegun):
            is_urgent = payload.reason is RotationReason.COMPROMISE
            _remember(self.begun, payload.rotation_id, _Begun(at=at, is_urgent=is_urgent))
        elif isinstance(payload, RotationWaits):
            known = self.held.get(payload.rotation_id)
            since = known.since if known else at
            held = _Held(name=payload.name, since=since, why=_waits_for(payload))
            _remember(self.held, payload.rotation_id, held)
        elif isinstance(payload, RotationAdvanced | RotationEnded):
            self.held.pop(payload.rotation_id, None)
        elif isinstance(payload, ProviderLost):
            self.lost = self.lost or payload
        elif isinstance(payload, ProviderFound | BrainStarted):
            self.lost = None
        elif isinstance(payload, SecretAnomaly) and _is_odd(payload):
            _remember(self.odd, payload.client, at)

    def is_urgent(self, rotation_id: str) -> bool:
        """Tell whether somebody else has what is rotated, as far as is known."""
        return rotation_id in self.begun and self.begun[rotation_id].is_urgent

    def lasting(self, open_: Sequence[KnownFault], now: datetime) -> Iterator[Told]:
        """Tell what has lasted for so long that it is trouble, and who has been quiet for so long."""
        for rotation_id, held in self.held.items():
            is_urgent = self.is_urgent(rotation_id)
            limit_s = WAITS_COMPROMISE_S if is_urgent else WAITS_S
            if (now - held.since).total_seconds() >= limit_s:
                begun = self.begun.get(rotation_id)
                began_at = begun.at if begun else held.since
                yield _stuck(held.name, _WAITS, began_at, held.why, is_urgent=is_urgent)
        lost = self.lost
        if lost is not None and (now - lost.began_at).total_seconds() >= LOST_S:
            reason = f"{lost.provider}: {lost.reason}"
            yield noticed(FaultKind.PROVIDER_DOWN, SECRETS, Priority.P2, lost.began_at, reason)
        for fault in open_:
            if fault.kind is FaultKind.MISUSE:
                yield from self._quiet(fault, now)

    def _quiet(self, fault: KnownFault, now: datetime) -> Iterator[TroubleEnded]:
        last = self.odd.get(fault.target.removeprefix("client/"), fault.began_at)
        if (now - last).total_seconds() >= QUIET_S:
            reason = f"nothing odd for {format_duration(QUIET_S)}"
            yield ended(fault.fault_id, fault.target, last, reason)


def about(record: Record, open_: Sequence[KnownFault], waiting: SecretWaiting) -> Iterator[Told]:
    """Give what one record begins or ends; `waiting` has taken it already."""
    payload = record.event.payload()
    tell = _TELLERS.get(type(payload))
    if tell is not None:
        yield from tell(payload, record.event.at, open_, waiting)


def _on_anomaly(
    payload: SecretAnomaly, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    if _is_cut_off(payload):
        yield noticed(FaultKind.COMPROMISE, payload.subject, Priority.P1, at, payload.why)
    elif _is_odd(payload):
        yield noticed(FaultKind.MISUSE, payload.subject, Priority.P2, at, payload.why)


def _on_rotation(
    payload: RotationEnded, at: datetime, _open: Sequence[KnownFault], waiting: SecretWaiting
) -> Iterator[Told]:
    if payload.outcome is not RotationOutcome.ABORTED:
        words = payload.outcome.replace("_", " ")
        yield from _unstuck(payload.name, (_WAITS, _ABORTED), at, f"it was {words}")
        return
    yield from _unstuck(payload.name, (_WAITS,), at, "it waits no more: it failed")
    begun = waiting.begun.get(payload.rotation_id)
    began_at = begun.at if begun else at - timedelta(seconds=payload.duration_s)
    is_urgent = waiting.is_urgent(payload.rotation_id)
    yield _stuck(payload.name, _ABORTED, began_at, payload.why, is_urgent=is_urgent)


def _on_advance(
    payload: RotationAdvanced, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    yield from _unstuck(payload.name, (_WAITS,), at, f"it goes on: {payload.step}")


def _on_written(
    payload: SecretWritten, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    yield from _unstuck(payload.name, (_ABORTED,), at, f"{payload.who} wrote a new version")


def _on_found(
    payload: ProviderFound, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    yield ended(_PROVIDER_ID, SECRETS, at, f"{payload.provider} answers")


def _on_started(
    _payload: BrainStarted, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    """End what only the keeper that is gone knew; its successor tells it again if it is still so."""
    yield ended(_PROVIDER_ID, SECRETS, at, "the daemon asks anew")


def _on_released(
    payload: ClientReleased, at: datetime, _open: Sequence[KnownFault], _waiting: SecretWaiting
) -> Iterator[Told]:
    for kind in _CLIENT_FAULTS:
        id_ = trouble_id(kind, payload.subject)
        yield ended(id_, payload.subject, at, f"{payload.who} gave it its secrets again")


def _on_acknowledged(
    payload: IncidentAcknowledged,
    at: datetime,
    open_: Sequence[KnownFault],
    _waiting: SecretWaiting,
) -> Iterator[Told]:
    """End what only a person can end: what was seen before that person looked."""
    for fault in open_:
        is_seen = fault.incident_id == payload.incident_id and fault.opened_at <= at
        if is_seen and _is_ended_by_person(fault):
            yield ended(fault.fault_id, fault.target, at, f"{payload.who} took it on")


_TELLERS: Mapping[type[Payload | None], Callable[..., Iterator[Told]]] = {
    BrainStarted: _on_started,
    ClientReleased: _on_released,
    IncidentAcknowledged: _on_acknowledged,
    ProviderFound: _on_found,
    RotationAdvanced: _on_advance,
    RotationEnded: _on_rotation,
    SecretAnomaly: _on_anomaly,
    SecretWritten: _on_written,
}
"""Each function gets a payload of exactly the type that it stands under."""


def _is_odd(payload: SecretAnomaly) -> bool:
    return payload.response is not SecretResponse.LOG


def _is_cut_off(payload: SecretAnomaly) -> bool:
    return _CANARY in payload.signals or payload.response is SecretResponse.QUARANTINE


def _is_ended_by_person(fault: KnownFault) -> bool:
    """Tell whether a person's word is enough: a secret that somebody else has must be rotated."""
    aborted = trouble_id(FaultKind.ROTATION_STUCK, fault.target, _detail(_ABORTED, is_urgent=False))
    return fault.kind in _CLIENT_FAULTS or fault.fault_id == aborted


def _stuck(name: str, what: str, began_at: datetime, reason: str, *, is_urgent: bool) -> Told:
    return noticed(
        FaultKind.ROTATION_STUCK,
        f"secret/{name}",
        Priority.P1 if is_urgent else Priority.P2,
        began_at,
        reason,
        detail=_detail(what, is_urgent=is_urgent),
    )


def _unstuck(name: str, whats: Sequence[str], at: datetime, reason: str) -> Iterator[Told]:
    target = f"secret/{name}"
    for what in whats:
        for is_urgent in (False, True):
            detail = _detail(what, is_urgent=is_urgent)
            id_ = trouble_id(FaultKind.ROTATION_STUCK, target, detail)
            yield ended(id_, target, at, reason)


def _detail(what: str, *, is_urgent: bool) -> str:
    return f"{what} urgent" if is_urgent else what


def _waits_for(payload: RotationWaits) -> str:
    whom = f"it waits for {', '.join(payload.consumers)}" if payload.consumers else ""
    return ": ".join(part for part in (whom, payload.why) if part) or f"it waits at {payload.step}"


def _remember(known: dict[str, Any], key: str, value: object) -> None:
    known.pop(key, None)
    known[key] = value
    while len(known) > REMEMBERED_MAX:
        del known[next(iter(known))]
