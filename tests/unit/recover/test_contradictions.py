"""Playbooks that contradict each other are found, and it is told which of them wins."""

from typing import Any

import pytest

from resile.core.vocabulary import Cause, FaultKind
from resile.recover.playbook import Do, Match, Playbook, PlaybookStep
from resile.recover.playbooks import contradictions, shipped


def book(name: str, *does: Do, priority: int = 100, **match: Any) -> Playbook:
    match.setdefault("faults", frozenset({FaultKind.HANG}))
    return Playbook(
        name=name,
        why="For tests.",
        match=Match(**match),
        steps=tuple(PlaybookStep(do=do) for do in does),
        priority=priority,
    )


STARTS = book("starts", Do.KILL, Do.START)


def pairs(*books: Playbook) -> list[tuple[str, str]]:
    return [(found.winner.name, found.loser.name) for found in contradictions(books)]


def test_two_of_one_priority_with_opposite_ends_contradict_and_the_winner_is_told() -> None:
    (found,) = contradictions([STARTS, book("ends", Do.STOP)])

    assert (found.winner.name, found.loser.name) == ("ends", "starts")
    assert found.text == (
        "ends and starts are both for hang with priority 100, and contradict each other: after one the "
        "service stands still, after the other it runs; ends is tried first, by its name, until it is known "
        "which of them helps; give them different priorities"
    )


@pytest.mark.parametrize(
    "other",
    [
        book("other", Do.STOP, priority=99),
        book("other", Do.STOP, faults=frozenset({FaultKind.CRASH})),
        book("other", Do.COMMAND),
        book("other", Do.RESTART),
        book("other", Do.STOP, Do.START),
    ],
    ids=["another priority", "another fault", "neither", "the same", "the same in the end"],
)
def test_others_do_not(other: Playbook) -> None:
    assert pairs(STARTS, other) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"targets": ("service/a",)}, {"targets": ("service/b", "service/c*")}),
        ({"targets": ("service/a*",)}, {"targets": ("service/b*",)}),
        ({"targets": ("service/a*",)}, {"targets": ("service/b",)}),
        ({"is_alive": True}, {"is_alive": False}),
        ({"is_oom": True}, {"is_oom": False}),
        ({"signals": frozenset({"SIGSEGV"})}, {"signals": frozenset({"SIGBUS"})}),
        ({"exit_codes": frozenset({1})}, {"exit_codes": frozenset({2})}),
        ({"ends": frozenset({"oom"})}, {"ends": frozenset({"abort"})}),
        ({"causes": frozenset({Cause.POOL})}, {"causes": frozenset({Cause.LOCK})}),
    ],
)
def test_what_can_never_fit_the_same_fault_does_not(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert pairs(book("a", Do.START, **one), book("b", Do.STOP, **other)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"targets": ("service/a*",)}, {"targets": ("service/ab",)}),
        ({"targets": ("service/a*",)}, {"targets": ("service/ab*",)}),
        ({"is_alive": True}, {}),
        ({"signals": frozenset({"SIGSEGV", "SIGBUS"})}, {"signals": frozenset({"SIGBUS"})}),
    ],
)
def test_what_may_fit_the_same_fault_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert pairs(book("a", Do.START, **one), book("b", Do.STOP, **other)) == [("a", "b")]


def test_the_shipped_ones_do_not_contradict_each_other() -> None:
    assert pairs(*shipped()) == []
