"""Which playbooks contradict each other: both may be for one fault, none goes first, and they end in opposite ways. Pure.

A contradiction is no error: each of the two may be right, and what they do is tried one after the other. But
whoever wrote them should know of it, and which one wins.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations

from resile.core.vocabulary import FaultKind
from resile.recover.playbook import Do, Match, Playbook

_WILDCARDS = "*?["
_ENDS = {
    Do.START: True,
    Do.RESTART: True,
    Do.ROLL_BACK: True,
    Do.STOP: False,
    Do.KILL: False,
    Do.FREEZE: False,
}
"""Whether the service runs after a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two playbooks of which one undoes what the other does.

    Args:
        winner: Is tried first, until it is known which of the two helps more often.
        loser: Comes after it.
        faults: The kinds that both are for.
        is_left_running: The winner leaves the service running, and the loser does not; else the
            other way round.
    """

    winner: Playbook
    loser: Playbook
    faults: tuple[FaultKind, ...]
    is_left_running: bool

    @property
    def text(self) -> str:
        """Tell it in one sentence, with what to do about it."""
        ways = ("runs", "stands still")
        first, second = ways if self.is_left_running else ways[::-1]
        kinds = ", ".join(self.faults)
        return (
            f"{self.winner.name} and {self.loser.name} are both for {kinds} with priority "
            f"{self.winner.priority}, and contradict each other: after one the service {first}, after the "
            f"other it {second}; {self.winner.name} is tried first, by its name, until it is known which "
            "of them helps; give them different priorities"
        )


def contradictions(books: Iterable[Playbook]) -> Iterator[Contradiction]:
    """Find every pair that contradicts, by name."""
    in_order = sorted(books, key=lambda book: book.name)
    for winner, loser in combinations(in_order, 2):
        if winner.priority != loser.priority or not _may_meet(winner.match, loser.match):
            continue
        is_running, is_other_running = _leaves_running(winner), _leaves_running(loser)
        if is_running is None or is_other_running is None or is_running is is_other_running:
            continue
        faults = tuple(sorted(winner.match.faults & loser.match.faults))
        yield Contradiction(winner=winner, loser=loser, faults=faults, is_left_running=is_running)


def _leaves_running(book: Playbook) -> bool | None:
    """Tell whether the service runs when a playbook is done; None if it does nothing to that."""
    ends = [_ENDS[step.do] for step in book.steps if step.do in _ENDS]
    return ends[-1] if ends else None


def _may_meet(one: Match, other: Match) -> bool:
    """Tell whether two matches may fit the same fault, as far as they alone can tell."""
    if one.faults.isdisjoint(other.faults):
        return False
    if not any(_may_be_same(a, b) for a in one.targets for b in other.targets):
        return False
    words = (
        (one.signals, other.signals),
        (one.exit_codes, other.exit_codes),
        (one.ends, other.ends),
        (one.causes, other.causes),
    )
    if any(a and b and a.isdisjoint(b) for a, b in words):
        return False
    facts = ((one.is_alive, other.is_alive), (one.is_oom, other.is_oom))
    return not any(a is not None and b is not None and a is not b for a, b in facts)


def _may_be_same(one: str, other: str) -> bool:
    """Tell whether one target may fit both patterns: their plain beginnings must agree."""
    head, other_head = _plain(one), _plain(other)
    if head == one:
        return fnmatchcase(one, other)
    if other_head == other:
        return fnmatchcase(other, one)
    return head.startswith(other_head) or other_head.startswith(head)


def _plain(pattern: str) -> str:
    """Give what stands before the first wildcard."""
    ends = [place for sign in _WILDCARDS if (place := pattern.find(sign)) >= 0]
    return pattern[: min(ends, default=len(pattern))]
