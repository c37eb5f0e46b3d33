"""In what order equal playbooks are tried, and which are passed over, from how they did before. Pure.

Nothing of it touches priorities: those are a person's word. Of playbooks with the same priority,

- one that was tried, and then not for `EXPLORED_AFTER` outcomes of the kind, has its turn, so that none
  is starved for ever because of a bad beginning;
- then come those that are not proven bad: one with few tries keeps the place that its name gives it, and
  those with enough of them stand in the places that are left, the one that helps most often first;
- those that help less often than not come last.

On one target a playbook that did not help `FAILURES_MIN` times in a row is passed over for a while, which
doubles with each further failure; until it helps, an operator starts or restarts the target, its maintenance ends, or the
configuration changes. What is bounded by the restart intensity is not: that bounds it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from resile.core.vocabulary import FaultKind
from resile.recover.lessons import (
    FAILURES_MIN,
    REST_S_MAX,
    Failing,
    Lesson,
    failing_key,
    lesson_key,
)
from resile.recover.playbook import Bound, Playbook
from resile.recover.world import World

EXPLORED_AFTER = 20
"""A playbook has its turn after so many outcomes of the kind without it: at most one use in
twenty is spent on what may be worse."""
_EVEN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one playbook against one kind of fault.

    Args:
        fault: The kind.
        helped: Tries that helped, as far as they are remembered.
        failed: Tries that did not.
        estimate: How likely it helps next time, 0..1; 0.5 where nothing is known.
        why: What that means for its place among its equals, in words.
    """

    fault: FaultKind
    helped: int
    failed: int
    estimate: float
    why: str


def ordered(world: World, kind: FaultKind, books: Iterable[Playbook]) -> tuple[Playbook, ...]:
    """Put playbooks in the order in which they are tried."""
    by_default = sorted(books, key=lambda book: (-book.priority, book.name))
    found: list[Playbook] = []
    for _, equals in groupby(by_default, key=lambda book: book.priority):
        found += _placed(world, kind, list(equals))
    return tuple(found)


def standing(world: World, book: Playbook, kind: FaultKind) -> Standing:
    """Tell what is known of a playbook against a kind of fault."""
    lesson = lesson_of(world, book, kind)
    return Standing(
        fault=kind,
        helped=lesson.helped,
        failed=lesson.failed,
        estimate=round(lesson.estimate, 3),
        why=_told(world, lesson),
    )


def compared(world: World, used: Playbook, behind: Sequence[Playbook], kind: FaultKind) -> str:
    """Tell in words why a playbook is used before others that its name puts behind them."""
    known = lesson_of(world, used, kind)
    others = ", ".join(f"{b.name}, which {_counted(lesson_of(world, b, kind))}" for b in behind)
    why = "it has its turn, as it was not tried lately" if _is_due(world, known) else ""
    return f"before {others}; {why or f'it {_counted(known)}'}"


def lesson_of(world: World, book: Playbook, kind: FaultKind) -> Lesson:
    """Give what was learned of this version of a playbook; an empty lesson if nothing was."""
    known = world.lessons.get(lesson_key(book.name, kind))
    if known is None or known.version != book.version:
        return Lesson(playbook=book.name, fault=kind, version=book.version)
    return known


def rests_until(world: World, book: Playbook, target: str) -> datetime | None:
    """Tell until when a playbook is passed over on a target; None if it is not."""
    failing = _failing(world, book, target)
    if failing is None or failing.count < FAILURES_MIN:
        return None
    doublings = min(failing.count - FAILURES_MIN, 30)
    rest_s = max(world.spec.budget.window_s, book.cool_down_s) * 2.0**doublings
    return failing.last_at + timedelta(seconds=min(REST_S_MAX, rest_s))


def is_resting(world: World, book: Playbook, target: str, now: datetime) -> bool:
    """Tell whether a playbook is passed over on a target now."""
    until = rests_until(world, book, target)
    return until is not None and now < until


def failures(world: World, book: Playbook, target: str) -> int:
    """Count how often in a row a playbook did not help on a target."""
    failing = _failing(world, book, target)
    return 0 if failing is None else failing.count


def _failing(world: World, book: Playbook, target: str) -> Failing | None:
    known = world.failings.get(failing_key(book.name, target))
    if known is None or known.version != book.version or book.bound is Bound.INTENSITY:
        return None
    return known


def _placed(world: World, kind: FaultKind, equals: list[Playbook]) -> list[Playbook]:
    if len(equals) == 1:
        return equals
    lessons = {book.name: lesson_of(world, book, kind) for book in equals}
    due = [book for book in equals if _is_due(world, lessons[book.name])]
    rest = [book for book in equals if book not in due]

    def likely(book: Playbook) -> float:
        return -lessons[book.name].estimate

    bad = [book for book in rest if _is_bad(lessons[book.name])]
    good = [book for book in rest if book not in bad]
    ranked = iter(sorted((b for b in good if lessons[b.name].is_known), key=likely))
    placed = [next(ranked) if lessons[book.name].is_known else book for book in good]
    due.sort(key=lambda book: lessons[book.name].turn)
    return [*due, *placed, *sorted(bad, key=likely)]


def _is_bad(lesson: Lesson) -> bool:
    return lesson.is_known and lesson.estimate < _EVEN


def _is_due(world: World, lesson: Lesson) -> bool:
    passed = world.outcomes.get(lesson.fault.value, 0) - lesson.turn
    return lesson.tries > 0 and passed >= EXPLORED_AFTER


def _told(world: World, lesson: Lesson) -> str:
    if _is_due(world, lesson):
        return f"{_counted(lesson)}, and was not tried lately: it has its turn"
    if not lesson.is_known:
        return f"{_counted(lesson)}: too few tries to tell, so it keeps its place"
    if _is_bad(lesson):
        return f"{_counted(lesson)}: it comes behind its equals"
    return f"{_counted(lesson)}: ranked by that among its equals"


def _counted(lesson: Lesson) -> str:
    return (
        f"helped {lesson.helped} of {lesson.tries} times" if lesson.tries else "was not tried yet"
    )
