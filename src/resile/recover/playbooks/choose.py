"""Which playbooks fit a fault, in what order, and what keeps one from being used. Pure.

The candidates of a fault are tried from the highest priority down, equal ones by what was learned of
them (`learning.py`); where the last one that was tried names another in its `then`, that one comes first. Faults that no playbook fits are left to
others: DEPENDENCY_DOWN to the dependency's own fault, CRASH_LOOP and CHECK_DOWN to a person.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.units import format_duration
from resile.core.vocabulary import FaultKind
from resile.recover import conditions, learning
from resile.recover.facts import OpenFault
from resile.recover.matching import misfit
from resile.recover.model import service_of
from resile.recover.playbook import Do, Playbook
from resile.recover.playbooks.model import Hindrance
from resile.recover.switched import off_for
from resile.recover.world import World

_STARTS = frozenset({Do.START, Do.RESTART})
_FAILING = frozenset({FaultKind.CRASH, FaultKind.START_FAILED, FaultKind.CRASH_LOOP})


def candidates(world: World, fault: OpenFault) -> tuple[Playbook, ...]:
    """Give the playbooks that fit a fault and were not refused, the first to be tried first."""
    books = [
        b for b in world.spec.playbooks if b.name not in fault.refused and not misfit(b, fault)
    ]
    books = [*learning.ordered(world, fault.kind, books)]
    last = next((b for b in world.spec.playbooks if fault.tried[-1:] == (b.name,)), None)
    if last is not None and last.then:
        books.sort(key=lambda book: book.name != last.then)
    return tuple(books)


def why_used(world: World, fault: OpenFault, playbook: Playbook, now: datetime) -> str:
    """Tell what of it that was learned led to a candidate, in words; empty if nothing did."""
    books = candidates(world, fault)
    if playbook not in books:
        return ""
    place = books.index(playbook)
    told = [
        f"{book.name} is passed over: it did not help {count} times in a row"
        for book in books[:place]
        if learning.is_resting(world, book, fault.target, now)
        and (count := learning.failures(world, book, fault.target))
    ]
    behind = [
        book
        for book in books[place + 1 :]
        if book.priority == playbook.priority
        and book.name < playbook.name
        and not any(keeping.until is None for keeping in hindrances(world, book, fault, now))
    ]
    is_next = any(
        b.then == playbook.name for b in world.spec.playbooks if b.name in fault.tried[-1:]
    )
    if behind and not is_next:
        told.append(learning.compared(world, playbook, behind, fault.kind))
    return "; ".join(told)


def hindrances(
    world: World, playbook: Playbook, fault: OpenFault, now: datetime
) -> Iterator[Hindrance]:
    """Yield what keeps a playbook that fits a fault from being used on it now."""
    name = service_of(fault.target)
    match = playbook.match
    if (off := off_for(world, playbook.name, now)) is not None:
        yield Hindrance(why=off.reason, until=off.until)
    if name is None:
        since = fault.began_at
    else:
        yield from _of_service(world, playbook, fault, name)
        since = _settled_at(world, fault, name) if match.needs_upstream else fault.began_at
    due_at = since + timedelta(seconds=match.after_s)
    if now < due_at:
        patience = format_duration(match.after_s)
        yield Hindrance(
            why=f"it waits {patience}, as the fault may go away by itself", until=due_at
        )


def _of_service(
    world: World, playbook: Playbook, fault: OpenFault, name: str
) -> Iterator[Hindrance]:
    status = world.service(name)
    match = playbook.match
    if fault.kind in _FAILING and any(step.do in _STARTS for step in playbook.steps):
        if status.is_quarantined and not is_rolled_back(playbook):
            yield Hindrance(why="it is quarantined: an operator starts it again")
        elif not conditions.may_restart(world, name):
            policy = world.service_spec(name).restart.policy
            yield Hindrance(why=f"its restart policy is {policy}")
    if match.is_alive is not None and status.is_alive is not match.is_alive:
        yield Hindrance(why="a process of it runs" if status.is_alive else "no process of it runs")
    if match.needs_oom_restart and not world.service_spec(name).is_restarted_before_oom:
        yield Hindrance(why='the service does not say oom = "restart"')
    if match.needs_change and not world.service_spec(name).is_changed:
        yield Hindrance(why="the service is declared as when it last worked")
    if match.needs_upstream and (broken := conditions.broken_upstream(world, name)):
        yield Hindrance(why=f"{', '.join(broken)} does not work")


def is_rolled_back(playbook: Playbook) -> bool:
    """Tell whether a playbook goes back to what worked before it starts, which ends a quarantine."""
    return any(step.do is Do.ROLL_BACK for step in playbook.steps)


def _settled_at(world: World, fault: OpenFault, name: str) -> datetime:
    settled_at = conditions.upstream_good_since(world, name) or fault.began_at
    return max(fault.began_at, settled_at)
