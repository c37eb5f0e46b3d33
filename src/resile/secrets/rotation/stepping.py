"""What the rotations do by themselves: go on with what waits, and begin what is due."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.errors import ResileError, SecretConflictError
from resile.secrets.rotation.beginning import Wish, first_record
from resile.secrets.rotation.book import Book, Claim
from resile.secrets.rotation.decide import End, turned
from resile.secrets.rotation.model import Owed, RotationReport, RotationSpec
from resile.secrets.rotation.schedule import due, entry_after, owed_after

logger = logging.getLogger(__name__)

SPREAD_S: Final = 10.0
"""Between two scheduled rotations that are due together."""
SCHEDULE: Final = "schedule"
"""Who wants a scheduled rotation."""


class Stepper:
    """Goes on without anybody's asking. Safe to share between threads.

    Args:
        book: Where rotations stand, and what is owed.
        specs: When each secret is rotated.
        begin: Begins a rotation.
        drive: Carries on with one by a claim.
        clock: Spreads scheduled ones.
    """

    def __init__(
        self,
        book: Book,
        specs: Mapping[str, RotationSpec],
        *,
        begin: Callable[[Wish], Claim],
        drive: Callable[[Claim, float], RotationReport],
        clock: Clock,
    ) -> None:
        self._book = book
        self._specs = specs
        self._begin = begin
        self._drive = drive
        self._clock = clock
        self._next_s = 0.0

    def step(self, now: datetime, *, is_beginning: bool = True) -> tuple[RotationReport, ...]:
        """Go on with what waits, then with what is owed, then with one that is due.

        Args:
            now: Wall-clock.
            is_beginning: What is owed or due may begin.
        """
        moved = [*self.carry_on(patience_s=0.0)]
        if not is_beginning:
            return tuple(moved)
        moved += self.pay(now, patience_s=0.0)
        if self._clock.monotonic() >= self._next_s:
            names = self.due(now)
            if names:
                self._next_s = self._clock.monotonic() + SPREAD_S
                moved += self._begin_scheduled(names[0])
        return tuple(moved)

    def carry_on(self, *, patience_s: float) -> tuple[RotationReport, ...]:
        """Go on with each open rotation that nobody carries on with."""
        moved: list[RotationReport] = []
        for record in self._book.open_ones():
            if (claim := self._book.claim(record.rotation_id)) is not None:
                moved += self._try(claim, patience_s)
        return tuple(moved)

    def pay(self, now: datetime, *, patience_s: float) -> tuple[RotationReport, ...]:
        """Begin what is owed and due."""
        moved: list[RotationReport] = []
        for owed in self._book.agenda.owed(now):
            claim = self._attempt(_wish_of(owed))
            if claim is not None:
                moved += self._try(claim, patience_s)
        return tuple(moved)

    def due(self, now: datetime) -> tuple[str, ...]:
        """Give the secrets whose time has come, and that are not being rotated."""
        at_it = {record.name for record in self._book.open_ones()}
        specs = {name: spec for name, spec in self._specs.items() if name not in at_it}
        return due(specs, self._book.agenda.entries(specs), now)

    def _begin_scheduled(self, name: str) -> tuple[RotationReport, ...]:
        claim = self._attempt(
            Wish(
                name=name,
                reason=RotationReason.SCHEDULED,
                who=SCHEDULE,
                why="",
                deadline_s=self._specs[name].deadline_s,
            )
        )
        return () if claim is None else self._try(claim, 0.0)

    def _attempt(self, wish: Wish) -> Claim | None:
        try:
            return self._begin(wish)
        except ResileError as exc:
            fields: dict[str, object] = {"secret": wish.name, "why": exc.message}
            logger.warning(log_line("rotation.not_begun", fields), extra=fields)
            with contextlib.suppress(SecretConflictError):  # One is open: that goes before.
                self._note(wish, exc.message)
            return None

    def _note(self, wish: Wish, why: str) -> None:
        """Write down that a rotation could not begin: nobody is there to whom it could be said."""
        at, now_s = self._clock.now(), self._clock.monotonic()
        record = first_record(wish, None, "", book=self._book, clock=self._clock)
        claim = self._book.begin(record)
        end = End(outcome=RotationOutcome.ABORTED)
        ended = turned(replace(record, ended_why=why), end, at=at, now_s=now_s)
        self._book.replace(
            claim,
            record,
            ended,
            owed=owed_after(ended, (), at=at),
            entry=lambda entry: entry_after(entry, ended, at=at),
        )

    def _try(self, claim: Claim, patience_s: float) -> tuple[RotationReport, ...]:
        try:
            return (self._drive(claim, patience_s),)
        except SecretConflictError:
            return ()  # Another process has taken it over.


def _wish_of(owed: Owed) -> Wish:
    return Wish(
        name=owed.name,
        reason=owed.reason,
        who=owed.who,
        why=owed.why,
        deadline_s=owed.deadline_s,
        is_dependent=owed.is_dependent,
        repeats=owed.repeats,
    )
