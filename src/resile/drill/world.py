"""The real system, seen through its daemon's answers and its journal."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resile.chaos import Service
from resile.core.clock import Clock
from resile.core.events import Event, ProcessExited
from resile.core.journal import Query
from resile.core.journal.read import Reader
from resile.core.vocabulary import CheckState, ServiceState
from resile.drill.decide import Look
from resile.errors import JournalError, ResileError

Get = Callable[[str], Mapping[str, Any]]
"""Asks the daemon for a path of its API, without patience. Raises ResileError."""
EVENTS_MAX: Final = 5000
"""At one look: a busy system writes a few hundred a second."""


class DaemonWorld:
    """A system whose daemon answers. Not thread-safe.

    Args:
        get: Asks it.
        journal: Its journal's folder.
        clock: Stamps the looks.
    """

    def __init__(self, get: Get, journal: Path, *, clock: Clock) -> None:
        self._get = get
        self._reader = Reader(journal)
        self._clock = clock
        self._seq = 0

    def look(self) -> Look:
        """Look at it now."""
        at_s = self._clock.monotonic()
        try:
            status = self._get("/api/status")
            degraded = self._get("/api/degradation")["services"]
        except ResileError as exc:
            return Look(at_s=at_s, trouble=exc.message)
        return look_of(status, degraded, at_s=at_s)

    def mark(self) -> None:
        """Let `events` begin behind what is in the journal now.

        Raises:
            JournalError: If it cannot be read.
        """
        self._seq = self._reader.head().seq

    def events(self) -> Sequence[Event]:
        """Give what happened since; nothing while the journal cannot be read: it is asked again."""
        try:
            records = self._reader.read(Query(after_seq=self._seq, limit=EVENTS_MAX))
        except JournalError:
            return ()
        self._seq = records[-1].seq if records else self._seq
        return [record.event for record in records]

    def ends(self, within_s: float) -> Sequence[tuple[str, float]]:
        """Give which service's process ended, and how many seconds ago, within so many.

        Raises:
            JournalError: If the journal cannot be read.
        """
        now = self._clock.now()
        query = Query(
            kinds=(ProcessExited.kind,), since=now - timedelta(seconds=within_s), limit=EVENTS_MAX
        )
        events = (record.event for record in self._reader.read(query))
        return [(event.subject, (now - event.at).total_seconds()) for event in events]

    def close(self) -> None:
        """Let go of the journal."""
        self._reader.close()


def look_of(
    status: Mapping[str, Any], degraded: Sequence[Mapping[str, Any]], *, at_s: float
) -> Look:
    """Read what the daemon said."""
    services = {
        one["name"]: Service(
            name=one["name"],
            pid=one["pid"],
            generation=one["generation"],
            phase=one["phase"],
            state=one["state"],
        )
        for one in status["services"]
    }
    checks = [
        f"{one['id']} is {one['state']}: {one['reason']}"
        for one in status["checks"]
        if not one["service"] and one["state"] not in (CheckState.UP, CheckState.DEGRADED)
    ]
    with_less = [
        f"{one['service'] or one['program']} works without {one['dependency']}"
        for one in degraded
        if one["state"] != ServiceState.HEALTHY
    ]
    return Look(
        at_s=at_s,
        brain_pid=status["brain"]["pid"],
        services=services,
        reasons=tuple(checks),
        lacks=tuple(with_less),
    )
