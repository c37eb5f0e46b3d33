"""What a new brain reads from the journal beside its state: uptime and heartbeats."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from resile.core.events import HeartbeatReceived
from resile.core.journal import Query, Record, SqliteJournal
from resile.health import CheckKind, CheckSpec
from resile.incidents import UPTIME_KINDS, UptimeBook

UPTIME_SPAN_S = 2 * 3600.0
"""The bars show an hour; the state at its beginning may be older."""
UPTIME_RECORDS_MAX = 10_000


def read_uptime(journal: SqliteJournal, *, now: datetime) -> UptimeBook:
    """Fold the states of the services over the time that the bars show. Blocks."""
    uptime = UptimeBook()
    since = now - timedelta(seconds=UPTIME_SPAN_S)
    for record in journal.read(Query(kinds=UPTIME_KINDS, since=since, limit=UPTIME_RECORDS_MAX)):
        uptime.apply(record.event)
    return uptime


def last_beats(journal: SqliteJournal, checks: Sequence[CheckSpec]) -> list[Record]:
    """Find the last heartbeat of each system check: a nightly one outlives many brains."""
    waiting = [c.id for c in checks if c.kind is CheckKind.HEARTBEAT and not c.service]
    found = [
        journal.read(
            Query(
                kinds=(HeartbeatReceived.kind,),
                subject=f"check/{check}",
                limit=1,
                is_newest_first=True,
            )
        )
        for check in waiting
    ]
    return [records[0] for records in found if records]
