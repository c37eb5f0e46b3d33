"""Keep the states of services in a journal, and read them back after a restart.

The journal is opened when there is something to write, and closed when the next writes are not
soon. One that is away or full stops nothing: states then count without it, it is said, and what it
lacks is written as soon as it can be.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from resile.core.clock import Clock
from resile.core.events import (
    DegradationAnswered,
    DegradationChanged,
    DegradationNoticed,
    Event,
    announce,
)
from resile.core.forking import ForkSafe
from resile.core.log_line import log_line
from resile.degradation.model import Condition, Origin
from resile.errors import OperationError

if TYPE_CHECKING:
    from datetime import datetime

    from resile.core.journal import Query, Record, SqliteJournal
    from resile.core.vocabulary import ServiceState

logger = logging.getLogger(__name__)

RETRY_INITIAL_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""Between attempts to write what a journal could not take: a disk is not freed every second."""


class JournalLike(Protocol):
    """The part of a journal that is needed here."""

    def append(self, *events: Event) -> "Sequence[Record]":
        """Append events; durable when it returns."""
        ...

    def read(self, query: "Query") -> "Sequence[Record]":
        """Read records."""
        ...


class Kept(NamedTuple):
    """What the journal has of a service, and since when."""

    state: "ServiceState"
    reason: str
    origin: Origin
    at: "datetime"


class Keeper:
    """The journal of one manager. Safe to share between threads; its methods block.

    Args:
        journal: A folder, which is opened as needed; or a journal, which its owner closes.
        program: Whose services they are.
        clock: Stamps what is written.
    """

    def __init__(self, journal: "Path | JournalLike", *, program: str, clock: Clock) -> None:
        self._folder = journal if isinstance(journal, Path) else None
        self._given = None if isinstance(journal, Path) else journal
        self._program = program
        self._clock = clock
        self._open: SqliteJournal | None = None
        self._guarded = ForkSafe(self._close, forget=self._forget)
        self._forgotten: list[SqliteJournal] = []
        """Kept from being closed by the garbage collector: they are the parent's."""
        self._failures = 0
        self.retry_at_s = 0.0
        """When it is worth trying again, in monotonic seconds."""
        self.trouble = ""
        """Why the journal lacks something; empty if it does not."""

    def change(self, service: str, before: Condition, after: Condition) -> bool:
        """Write a change of a service's state; durable if it gives True."""
        return self._write(
            DegradationChanged(
                program=self._program,
                service=service,
                before=before.state,
                after=after.state,
                reason=after.reason,
                origin=after.origin,
            )
        )

    def notice(self, service: str, notice_id: str, text: str) -> bool:
        """Write what people are told."""
        return self._write(
            DegradationNoticed(
                program=self._program, service=service, notice_id=notice_id, text=text
            )
        )

    def answer(self, payload: DegradationAnswered) -> bool:
        """Write what a person chose."""
        return self._write(payload)

    def newest(self, service: str) -> Kept | None:
        """Read what the journal has of a service; None if it has nothing, or cannot be read."""
        from resile.core.journal import Query

        query = Query(
            kinds=(DegradationChanged.kind,),
            subject=f"degradation/{self._program}/{service}",
            limit=1,
            is_newest_first=True,
        )
        try:
            with self._guarded.lock:
                records = self._journal().read(query)
            for record in records:
                payload = record.event.payload()
                if isinstance(payload, DegradationChanged):
                    origin = Origin(payload.origin)
                    return Kept(payload.after, payload.reason, origin, record.event.at)
        except (OperationError, ValueError) as exc:
            self._note(str(exc))
        return None

    def close(self) -> None:
        """Let go of the files, if they are ours; the next write opens them again."""
        with self._guarded.lock:
            self._close()

    def _write(
        self, payload: DegradationAnswered | DegradationChanged | DegradationNoticed
    ) -> bool:
        event = announce(payload, at=self._clock.now(), actor=f"program:{self._program}")
        try:
            with self._guarded.lock:
                self._journal().append(event)
        except OperationError as exc:
            self._note(str(exc))
            return False
        if self.trouble:
            fields: dict[str, object] = {"program": self._program}
            logger.info(log_line("degradation.journal_back", fields), extra=fields)
        self.trouble, self._failures, self.retry_at_s = "", 0, 0.0
        return True

    def _note(self, trouble: str) -> None:
        """Say that the journal lacks something, once for each trouble; try again, but not soon."""
        if not self.trouble:
            fields: dict[str, object] = {"program": self._program, "why": trouble}
            logger.warning(log_line("degradation.journal_away", fields), extra=fields)
        self.trouble = trouble
        wait_s = min(RETRY_INITIAL_S * 2.0 ** min(self._failures, 10), RETRY_MAX_S)
        self.retry_at_s = self._clock.monotonic() + wait_s
        self._failures += 1

    def _journal(self) -> JournalLike:
        """Give the journal, opened; the caller holds the lock."""
        if self._given is not None:
            return self._given
        if self._open is None:
            from resile.core.journal import open_journal

            if self._folder is None:
                raise AssertionError("a keeper has a folder or a journal")
            self._open = open_journal(self._folder, clock=self._clock)
        return self._open

    def _forget(self) -> None:
        if self._open is not None:
            self._forgotten.append(self._open)
            self._open = None

    def _close(self) -> None:
        if self._open is not None:
            with suppress(OperationError):
                self._open.close()
            self._open = None
