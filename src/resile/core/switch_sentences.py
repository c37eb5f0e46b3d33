"""Say in one sentence what an event about a switch tells. Pure; `core.sentences` is who asks."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.core import events
from resile.core.switches import done_text


def _set(payload: events.SwitchSet) -> str:
    what = f"playbook {payload.name}" if payload.name else str(payload.part)
    until = f" until {payload.until:%Y-%m-%d %H:%M:%S} UTC" if payload.until else ""
    why = f": {payload.why}" if payload.why else ""
    return f"{payload.who or 'somebody'} switched {what} {'on' if payload.is_on else 'off'}{until}{why}"


def _ended(payload: events.SwitchEnded) -> str:
    what = f"playbook {payload.name}" if payload.name else str(payload.part)
    return f"{what} is on again: its time off is over"


def _emergency(payload: events.EmergencyBegun) -> str:
    services = "stopped" if payload.is_stopping_services else "kept"
    why = f": {payload.why}" if payload.why else ""
    return f"EMERGENCY STOP by {payload.who or 'somebody'}; services are {services}{why}"


def _carried_out(payload: events.EmergencyCarriedOut) -> str:
    done = done_text(payload.killed, payload.undone)
    problems = f"; NOT done: {'; '.join(payload.problems)}" if payload.problems else ""
    return f"the emergency stop is carried out: {done}{problems}"


SENTENCES: Mapping[type[events.Payload | None], Callable[[Any], str]] = {
    events.EmergencyBegun: _emergency,
    events.EmergencyCarriedOut: _carried_out,
    events.SwitchEnded: _ended,
    events.SwitchSet: _set,
}
