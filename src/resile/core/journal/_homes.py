"""Where the names are that `resile.core.journal` loads when they are first used."""

from typing import Final

HOMES: Final = {
    "chain": ("format_head", "parse_head"),
    "limits": ("SegmentLimits",),
    "plain": ("record_json",),
    "port": ("Head", "Journal", "JournalSink", "Query", "Record"),
    "sqlite": ("SqliteJournal", "open_journal"),
    "verify": ("Verification", "verify_journal"),
}
