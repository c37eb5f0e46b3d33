"""From what a process says of a change to the event that tells of it. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from resile.clients import wire
from resile.core.events import (
    Payload,
    PolicyClosed,
    PolicyForced,
    PolicyHalfOpened,
    PolicyOpened,
)
from resile.daemon.lanes.table import Process, moment, seconds


def change_of(process: Process, value: object, *, unsaid: int) -> Payload | None:
    """Give the event of a change; None if this version does not know its kind.

    Args:
        process: Who says so.
        value: What it says.
        unsaid: Changes of this guard that were not journalled before.
    """
    if not isinstance(value, dict):
        return None
    make = _MAKERS.get(str(value.get("kind")))
    detail = value.get("detail")
    if make is None or not isinstance(detail, dict):
        return None
    facts = {
        "guard": guard_of(value),
        "service": process.service,
        "pid": process.pid,
        "program": process.program,
        "at": moment(value.get("at_s")),
        "reason": wire.text_of(detail.get("why")),
        "unsaid": unsaid,
    }
    return make(facts, detail)


def guard_of(value: object) -> str:
    """Name the guard that a change is of; empty if it names none."""
    return wire.text_of(value.get("guard")) if isinstance(value, dict) else ""


def _opened(facts: dict[str, Any], detail: Mapping[str, Any]) -> Payload:
    return PolicyOpened(**facts, retry_in_s=_left(detail))


def _forced(facts: dict[str, Any], detail: Mapping[str, Any]) -> Payload:
    return PolicyForced(**facts, mode=wire.text_of(detail.get("mode")), left_s=_left(detail))


def _left(detail: Mapping[str, Any]) -> float | None:
    left_s = detail.get("left_s")
    return None if left_s is None else seconds(left_s)


_MAKERS: Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], Payload]] = {
    "opened": _opened,
    "half_open": lambda facts, _detail: PolicyHalfOpened(**facts),
    "closed": lambda facts, _detail: PolicyClosed(**facts),
    "mode": _forced,
}
