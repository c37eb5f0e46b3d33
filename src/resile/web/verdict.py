"""The one sentence at the top of the page: pure, from the status alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from resile.core.vocabulary import CheckState, Phase

Facts = Mapping[str, Any]

_RECOVERING = {Phase.STARTING, Phase.STOPPING, Phase.BACKOFF, Phase.WAITING}


def verdict(status: Facts) -> dict[str, Any]:
    """Say how the system is: `{"state", "text", "hint", "since"}`.

    `since` is when the named trouble began, or None; `hint` is a command, or empty.
    What is suppressed is never named: what suppresses it is.
    """
    services = [s for s in status.get("services", ()) if s["phase"] != Phase.STOPPED]
    checks = [c for c in status.get("checks", ()) if not c.get("service")]
    found = (
        _down(services, checks)
        or _unwritten(status.get("journal", {}))
        or _degraded(services, checks)
        or _unknown(services, checks)
        or _maintenance(services, checks)
    )
    return found or _calm(status.get("services", ()), services, checks)


def _down(services: Sequence[Facts], checks: Sequence[Facts]) -> dict[str, Any] | None:
    down = [*_in_state(services, CheckState.DOWN), *_in_state(checks, CheckState.DOWN)]
    if not down:
        return None
    if len(down) > 1:
        return _sentence(CheckState.DOWN, f"{_names(down)} are down", since=_first_since(down))
    (item,) = down
    name, phase = _name(item), item.get("phase")
    if phase == Phase.QUARANTINED:
        text, hint = f"{name} is in quarantine", f"resile start {name}"
    elif phase in _RECOVERING:
        text, hint = f"Recovering {name}", ""
    else:
        text, hint = f"{name} is down", ""
    return _sentence(CheckState.DOWN, text, item=item, hint=hint)


def _unwritten(journal: Facts) -> dict[str, Any] | None:
    trouble = journal.get("trouble")
    text = f"The journal cannot be written: {trouble}"
    return _sentence(CheckState.DEGRADED, text, hint="resile doctor") if trouble else None


def _degraded(services: Sequence[Facts], checks: Sequence[Facts]) -> dict[str, Any] | None:
    found = [*_in_state(services, CheckState.DEGRADED), *_in_state(checks, CheckState.DEGRADED)]
    return _named(CheckState.DEGRADED, found, "degraded")


def _unknown(services: Sequence[Facts], checks: Sequence[Facts]) -> dict[str, Any] | None:
    hidden = _in_state(services, CheckState.SUPPRESSED)
    if hidden:
        return _named(CheckState.SUPPRESSED, hidden, "waiting for what it depends on")
    starting = [s for s in _in_state(services, CheckState.UNKNOWN) if s["phase"] in _RECOVERING]
    if starting:
        return _sentence(CheckState.UNKNOWN, f"Starting {_names(starting)}")
    found = [*_in_state(services, CheckState.UNKNOWN), *_in_state(checks, CheckState.UNKNOWN)]
    return _sentence(CheckState.UNKNOWN, f"No result yet from {_names(found)}") if found else None


def _maintenance(services: Sequence[Facts], checks: Sequence[Facts]) -> dict[str, Any] | None:
    state = CheckState.MAINTENANCE
    return _named(state, [*_in_state(services, state), *_in_state(checks, state)], "in maintenance")


def _calm(
    declared: Sequence[Facts], running: Sequence[Facts], checks: Sequence[Facts]
) -> dict[str, Any]:
    if not declared and not checks:
        return _sentence(CheckState.UNKNOWN, "Nothing is supervised yet", hint="resile init")
    if declared and not running:
        hint = " ".join(["resile start", *(_name(service) for service in declared)])
        return _sentence(CheckState.UNKNOWN, "Every service is stopped", hint=hint)
    stopped = len(declared) - len(running)
    rest = f", {stopped} stopped on purpose" if stopped else ""
    return _sentence(CheckState.UP, f"All systems operational{rest}")


def _named(state: CheckState, found: Sequence[Facts], word: str) -> dict[str, Any] | None:
    if not found:
        return None
    if len(found) > 1:
        return _sentence(state, f"{_names(found)} are {word}", since=_first_since(found))
    return _sentence(state, f"{_name(found[0])} is {word}", item=found[0])


def _sentence(
    state: CheckState,
    text: str,
    *,
    item: Facts | None = None,
    hint: str = "",
    since: str | None = None,
) -> dict[str, Any]:
    reason = item.get("reason") if item else ""
    return {
        "state": state,
        "text": f"{text}: {reason}" if reason else text,
        "hint": hint,
        "since": item.get("since") if item else since,
    }


def _in_state(items: Sequence[Facts], state: CheckState) -> list[Facts]:
    return [item for item in items if item["state"] == state]


def _name(item: Facts) -> str:
    return str(item.get("name") or item["id"])


def _names(items: Sequence[Facts]) -> str:
    names = [_name(item) for item in items]
    if len(names) == 1:
        return names[0]
    shown, rest = (names[:3], len(names) - 3) if len(names) > 4 else (names, 0)
    return (
        f"{', '.join(shown)} and {rest} more"
        if rest
        else f"{', '.join(names[:-1])} and {names[-1]}"
    )


def _first_since(items: Sequence[Facts]) -> str | None:
    times = [str(item["since"]) for item in items if item.get("since")]
    return min(times) if times else None
