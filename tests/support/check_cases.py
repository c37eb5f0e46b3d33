"""Situations of ways to look, and what a look at each must say: collected by `case`, run by the contract."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.looking import Stage

from resile.core.vocabulary import CheckState
from resile.health import CheckKind, CheckResult


@dataclass(frozen=True)
class Case:
    """One situation of one kind, and what a look at it must say."""

    kind: CheckKind
    situation: str
    act: Callable[[Stage], CheckResult]
    state: CheckState
    reason: str


CASES: list[Case] = []


def case(
    kind: CheckKind, situation: str, state: CheckState, reason: str
) -> Callable[[Callable[[Stage], CheckResult]], Callable[[Stage], CheckResult]]:
    """Add a situation to the contract."""

    def add(act: Callable[[Stage], CheckResult]) -> Callable[[Stage], CheckResult]:
        CASES.append(Case(kind, situation, act, state, reason))
        return act

    return add
