"""Say in one sentence what an event about secrets tells. Pure; `core.sentences` is who asks."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.core import events
from resile.core.units import format_duration


def _accessed(payload: events.SecretAccessed) -> str:
    often = f" {payload.count} times" if payload.count > 1 else ""
    which = f" version {payload.number}" if payload.number else ""
    return f"{payload.client} asked for {payload.name}{which}{often}: {payload.outcome}"


def _written(payload: events.SecretWritten) -> str:
    how = "rolled back to a new version" if payload.is_rollback else "has a new version"
    return f"{payload.name} {how}, {payload.number}, by {payload.who}"


def _begun(payload: events.RotationBegun) -> str:
    why = f": {payload.why}" if payload.why else ""
    return f"rotation of {payload.name} begun ({payload.reason}) by {payload.who}{why}"


def _waits(payload: events.RotationWaits) -> str:
    whom = f" for {', '.join(payload.consumers)}" if payload.consumers else ""
    why = f": {payload.why}" if payload.why else ""
    return f"rotation of {payload.name} waits{whom} at {payload.step}{why}"


def _ended(payload: events.RotationEnded) -> str:
    cut = f", cut off: {', '.join(payload.cut)}" if payload.cut else ""
    why = f": {payload.why}" if payload.why else ""
    took = format_duration(payload.duration_s)
    return f"rotation of {payload.name} {payload.outcome.replace('_', ' ')} in {took}{cut}{why}"


def _odd(payload: events.SecretAnomaly) -> str:
    seen = ", ".join(signal.replace("_", " ") for signal in payload.signals)
    return f"{payload.client} looks odd ({seen}; {payload.score:.0f} of 100): {payload.response}"


SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    events.ClientQuarantined: lambda p: f"{p.client} gets no secrets any more: {p.why}",
    events.ClientReleased: lambda p: f"{p.client} gets its secrets again, says {p.who}",
    events.ProviderFound: lambda p: (
        f"{p.provider} gives secrets again, after {format_duration(p.away_s)}"
    ),
    events.ProviderLost: lambda p: f"{p.provider} gives no secrets: {p.reason}",
    events.RotationAdvanced: lambda p: f"rotation of {p.name} is {p.step}",
    events.RotationBegun: _begun,
    events.RotationEnded: _ended,
    events.RotationWaits: _waits,
    events.SecretAccessed: _accessed,
    events.SecretAnomaly: _odd,
    events.SecretRevoked: lambda p: f"{p.name} version {p.number} revoked by {p.who}: {p.why}",
    events.SecretWritten: _written,
    events.SecretsRekeyed: lambda p: f"{p.versions} values have a new master key, by {p.who}",
}
