"""Look at databases: can they be opened, and do they answer a query."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from resile.clients import postgres
from resile.health.checks.port import Finding, LookContext, down, no_answer, up
from resile.health.model import CheckSpec

# `SELECT 1` alone touches no page of the file. This answers the same and reads the schema, so it
# sees a lock, a file that is no database, and a damaged first page.
_SQLITE_QUERY = "SELECT 1 FROM (SELECT count(*) FROM sqlite_master)"
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def look_sqlite(spec: CheckSpec, _context: LookContext) -> Finding:
    """Open a SQLite file read-only and query it; a lock may be held as long as the time-out."""
    return ping_sqlite(spec.target, timeout_s=spec.timeout_s)


def ping_sqlite(path: str, *, timeout_s: float) -> Finding:
    """Open a SQLite file read-only and query it.

    Args:
        path: The file; it is never made.
        timeout_s: How long another may hold a lock.

    Raises:
        OSError: If there is no such file.
    """
    Path(path).stat()  # SQLite says "unable to open" for everything; this says what is so
    uri = f"file:{quote(path)}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=timeout_s)) as connection:
            connection.execute(_SQLITE_QUERY).fetchone()
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _BUSY_CODES:
            return no_answer(timeout_s, "it is locked")
        return down(f"{exc} ({path})")
    return up(f"{path} answers")


def look_postgres(spec: CheckSpec, context: LookContext) -> Finding:
    """Connect to the PostgreSQL of a DSN and run `SELECT 1`. The DSN is never shown."""
    postgres.ping(spec.target, timeout_s=spec.timeout_s, clock=context.clock)
    return up("PostgreSQL answers")
