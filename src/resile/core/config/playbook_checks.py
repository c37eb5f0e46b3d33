"""What only all playbooks together can tell: a `then` that points nowhere, a circle, steps that fit no target."""

from collections.abc import Iterator, Mapping
from typing import Any

from resile.core.config.faults import Fault, did_you_mean
from resile.core.config.playbooks import SHIPPED

_OF_NO_SERVICE = {
    "disk_nearly_full": "a check",
    "check_down": "a check",
    "escape_attempt": "a contained run",
    "store_damaged": "a store",
    "store_lost": "a store",
    "store_unreachable": "a store",
    "snapshots_fail": "a folder",
    "data_mismatched": "a folder",
    "compromise": "secrets",
    "misuse": "secrets",
    "rotation_stuck": "secrets",
    "provider_down": "secrets",
    "clock_jump": "the machine",
}
"""Faults whose target is no service, so that there is no process to start or to stop."""
_OF_SERVICES = frozenset(
    {"start", "stop", "kill", "restart", "free_port", "roll_back", "rotate_secret"}
)


def playbook_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Find every fault between playbooks. Data of the wrong type is passed over."""
    tables = data.get("playbook")
    if not isinstance(tables, dict):
        return
    books = {name: table for name, table in tables.items() if isinstance(table, dict)}
    yield from _unknown_next(books)
    yield from _circles(books)
    for name, book in books.items():
        yield from _unfit_steps(name, book)


def _unknown_next(books: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    known = {*books, *SHIPPED}
    for name, book in books.items():
        then = book.get("then")
        if isinstance(then, str) and then and then not in known:
            hint = did_you_mean(then, known - {name})
            yield Fault(
                path=("playbook", name, "then"),
                message=f'no playbook is called "{then}"',
                hint=hint,
            )


def _circles(books: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    """Report each circle once, at the playbook that closes it. Each has at most one next one."""
    told: set[str] = set()
    for start in books:
        trail = [start]
        while (then := str(books[trail[-1]].get("then"))) in books and then not in trail:
            trail.append(then)
        if then in trail and told.isdisjoint(trail):
            circle = trail[trail.index(then) :]
            told.update(circle)
            yield Fault(
                path=("playbook", trail[-1], "then"),
                message=f"the playbooks follow each other in a circle: "
                f"{' -> '.join([*circle, then])}",
                hint="take one `then` away",
            )


def _unfit_steps(name: str, book: Mapping[str, Any]) -> Iterator[Fault]:
    match = book.get("match")
    faults = match.get("faults") if isinstance(match, dict) else None
    if (
        not isinstance(faults, list)
        or not faults
        or not {*_OF_NO_SERVICE}.issuperset(map(str, faults))
    ):
        return
    for key in ("steps", "undo"):
        steps = book.get(key)
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            do = step.get("do") if isinstance(step, dict) else None
            if do in _OF_SERVICES:
                yield Fault(
                    path=("playbook", name, key, index, "do"),
                    message=f'"{do}" works on a service, and {faults[0]} is about {_OF_NO_SERVICE[faults[0]]}',
                    hint='run a program instead: do = "command"',
                )
