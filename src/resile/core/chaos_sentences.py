"""Say in one sentence what an event about faults on purpose tells. Pure; `core.sentences` is who asks."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.core import events
from resile.core.units import format_duration


def _injected(payload: events.FaultInjected) -> str:
    where = f" into {payload.target}" if payload.target else ""
    until = f", for {format_duration(payload.ttl_s)} at most"
    return f"{payload.who} injects {payload.fault}{where} on purpose{until}"


def _undone(payload: events.FaultUndone) -> str:
    where = f" of {payload.target}" if payload.target else ""
    result = "undone" if payload.is_gone else "NOT proven to be gone"
    detail = f" ({payload.detail})" if payload.detail and not payload.is_gone else ""
    return f"{payload.fault}{where} is {result} by the {payload.by}: {payload.why}{detail}"


def _ended(payload: events.ExperimentEnded) -> str:
    why = f": {payload.reason}" if payload.reason else ""
    took = format_duration(payload.duration_s)
    return f"experiment {payload.title!r} {payload.verdict} after {took}{why}"


SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    events.ExperimentBegun: lambda p: f"{p.who} begins the experiment {p.title!r}",
    events.ExperimentEnded: _ended,
    events.FaultInjected: _injected,
    events.FaultUndone: _undone,
}
