"""The journal: append-only, hash-chained, the only truth; kept in SQLite files.

Its modules are loaded when a name of theirs is first used: who writes need not load who verifies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.core.journal.chain import format_head, parse_head
    from resile.core.journal.limits import SegmentLimits
    from resile.core.journal.plain import record_json
    from resile.core.journal.port import Head, Journal, JournalSink, Query, Record
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


def __getattr__(name: str) -> object:
    from resile.core.journal._homes import HOMES
    from resile.core.lazy import load

    return load(__name__, name, HOMES)
