"""What is learned of playbooks: how often each helped against a kind of fault, and how often in a row it did not.

Frozen data with limits of its own: old outcomes weigh less and less, so that a playbook whose world
has changed is judged anew.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from resile.core.vocabulary import FaultKind

TRIES_MAX = 40
"""Above it both counts are halved: what happened long ago must not outweigh what happens now."""
TRIES_MIN = 3
"""Fewer tries say nothing: one failure of a good playbook is not rare."""
FAILURES_MIN = 3
"""So many failures in a row on one target, and the playbook is passed over there (facts/incidents.md:
two or three tries tell)."""
REST_S_MAX = 86_400.0
"""The longest time for which it is; the time doubles with each further failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """How often a playbook helped against one kind of fault, on whatever target.

    Args:
        playbook: Its name.
        fault: The kind.
        version: Of the playbook; another one begins anew.
        helped: Plans that made the fault go away.
        failed: Plans that did not.
        turn: The number of the last of them among all outcomes of the kind.
    """

    playbook: str
    fault: FaultKind
    version: int
    helped: int = 0
    failed: int = 0
    turn: int = 0

    @property
    def tries(self) -> int:
        """Count its outcomes, as far as they are remembered."""
        return self.helped + self.failed

    @property
    def is_known(self) -> bool:
        """Tell whether there were enough of them to say anything."""
        return self.tries >= TRIES_MIN

    @property
    def estimate(self) -> float:
        """Give how likely it helps next time, 0..1: as if it had helped once and failed once before.

        Source: Laplace's rule of succession; the mean of a Beta distribution.
        """
        return (self.helped + 1) / (self.tries + 2)

    def after(self, *, helped: bool, turn: int) -> "Lesson":
        """Give the lesson after one more outcome."""
        halved = 2 if self.tries >= TRIES_MAX else 1
        return replace(
            self,
            helped=self.helped // halved + helped,
            failed=self.failed // halved + (not helped),
            turn=turn,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """How often in a row a playbook did not help on one target.

    Args:
        playbook: Its name.
        target: Where.
        version: Of the playbook; another one begins anew.
        count: How often.
        last_at: When it ended the last time.
    """

    playbook: str
    target: str
    version: int
    count: int
    last_at: datetime


def lesson_key(playbook: str, fault: FaultKind) -> str:
    """Name a lesson."""
    return f"{fault.value} {playbook}"


def failing_key(playbook: str, target: str) -> str:
    """Name a row of failures."""
    return f"{playbook} {target}"
