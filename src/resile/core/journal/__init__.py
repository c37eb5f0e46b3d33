"""The journal: append-only, hash-chained, the only truth; kept in SQLite files."""

from resile.core.journal.chain import format_head, parse_head
from resile.core.journal.plain import record_json
from resile.core.journal.port import Head, Journal, JournalSink, Query, Record
from resile.core.journal.segments import SegmentLimits
from resile.core.journal.sqlite import SqliteJournal, open_journal
from resile.core.journal.verify import Verification, verify_journal

__all__ = [
    "Head",
    "Journal",
    "JournalSink",
    "Query",
    "Record",
    "SegmentLimits",
    "SqliteJournal",
    "Verification",
    "format_head",
    "open_journal",
    "parse_head",
    "record_json",
    "verify_journal",
]
