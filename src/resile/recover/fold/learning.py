"""How the outcomes of plans become lessons about their playbooks, and how those are forgotten.

Judged is what was done about a fault by a playbook, and came to its own end: nothing is learned from
a plan that an operator overtook, whose target was stopped or put into maintenance, that undid another
one, or whose fault went away before anything was done or although a step failed.
"""

from datetime import datetime

from resile.core.events import PlanFinished, PlaybooksForgotten
from resile.core.vocabulary import Desired
from resile.recover.facts import OpenPlan
from resile.recover.fold.table import Folds
from resile.recover.lessons import Failing, Lesson, failing_key, lesson_key
from resile.recover.store import Store

LESSONS_MAX = 500
"""One for each playbook and kind of fault; the oldest is forgotten first."""
FAILINGS_MAX = 500


def judge(store: Store, plan: OpenPlan, payload: PlanFinished, at: datetime) -> None:
    """Learn from the end of a plan."""
    fault = store.faults.get(plan.fault_id)
    book = store.spec.playbook(plan.playbook)
    if fault is None or book is None or not _is_judged(store, plan):
        return
    if plan.error and payload.is_effective:
        return
    turn = store.outcomes.get(fault.kind.value, 0) + 1
    store.outcomes = {**store.outcomes, fault.kind.value: turn}
    key = lesson_key(book.name, fault.kind)
    known = store.lessons.pop(key, None)
    if known is None or known.version != book.version:
        known = Lesson(playbook=book.name, fault=fault.kind, version=book.version)
    store.lessons[key] = known.after(helped=payload.is_effective, turn=turn)
    for oldest in list(store.lessons)[:-LESSONS_MAX]:
        del store.lessons[oldest]
    _count(store, plan, book.version, at, helped=payload.is_effective)


def forget_failures(store: Store, target: str) -> None:
    """Give every playbook a new chance on a target, because something about it has changed."""
    store.failings = {key: f for key, f in store.failings.items() if f.target != target}


def note_config(store: Store, digest: str) -> None:
    """Give every playbook a new chance everywhere if the configuration is another one now."""
    if digest != store.config_digest:
        store.config_digest = digest
        store.failings = {}


def _is_judged(store: Store, plan: OpenPlan) -> bool:
    if plan.is_undo or plan.is_overridden or plan.done == 0 or store.is_maintained(plan.target):
        return False
    name = store.known_service(plan.target)
    return name is None or store.services[name].desired is Desired.RUNNING


def _count(store: Store, plan: OpenPlan, version: int, at: datetime, *, helped: bool) -> None:
    key = failing_key(plan.playbook, plan.target)
    known = store.failings.pop(key, None)
    if helped:
        return
    count = known.count if known is not None and known.version == version else 0
    store.failings[key] = Failing(
        playbook=plan.playbook, target=plan.target, version=version, count=count + 1, last_at=at
    )
    for oldest in list(store.failings)[:-FAILINGS_MAX]:
        del store.failings[oldest]


def _playbooks_forgotten(store: Store, payload: PlaybooksForgotten, _at: datetime) -> None:
    name = payload.name
    store.lessons = {k: v for k, v in store.lessons.items() if name not in ("", v.playbook)}
    store.failings = {k: v for k, v in store.failings.items() if name not in ("", v.playbook)}
    if not name:
        store.outcomes = {}


FOLDS: Folds = {
    PlaybooksForgotten: _playbooks_forgotten,
}
