"""What a drill needs of the world: a system to look at, and something to do to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from resile.core.events import Event
from resile.drill.decide import Look
from resile.drill.model import Cell


class World(Protocol):
    """The system. Not thread-safe."""

    def look(self) -> Look:
        """Look at it now; what cannot be seen is told in the look. Quick: below a second."""
        ...

    def mark(self) -> None:
        """Let `events` begin behind what is in the journal now."""
        ...

    def events(self) -> Sequence[Event]:
        """Give what happened since the mark, or since the last question, in order."""
        ...

    def ends(self, within_s: float) -> Sequence[tuple[str, float]]:
        """Give which service's process ended, and how many seconds ago, within so many.

        Raises:
            JournalError: If nobody can tell.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """When something was done, on both clocks."""

    at: datetime
    at_s: float


class Act(Protocol):
    """What is done in one scenario. Not thread-safe."""

    @property
    def subject(self) -> str:
        """What its events are about, where only the act knows it; empty else."""
        ...

    def begin(self) -> "Begun":
        """Do it; returns at once, and tells since when it is so.

        Raises:
            ResileError: If it could not be done; nothing is left of it.
        """
        ...

    def proof(self) -> tuple[bool, str]:
        """Look whether it is active, or was; tell what was seen."""
        ...

    def is_over(self) -> bool:
        """Tell whether it has ended by itself. A fault that has to be undone never does."""
        ...

    def failure(self) -> str:
        """Tell what came of it that must not have; empty: nothing."""
        ...

    def end(self, why: str) -> str:
        """Take it back; tell what may be left of it, empty if nothing. Idempotent."""
        ...


ActOf = Callable[[Cell], Act]
"""Makes the act of a cell; touches nothing.

Raises:
    ResileError: If its target does not exist, or cannot be hit.
"""
