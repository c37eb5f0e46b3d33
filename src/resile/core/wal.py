"""SQLite files that write ahead: readers and one writer go on beside each other."""

import sqlite3
from typing import Final

from resile.core.clock import SYSTEM_CLOCK

_BUSY: Final = 5
_PRIMARY_CODE: Final = 0xFF
_PAUSE_S: Final = 0.01


def write_ahead(connection: sqlite3.Connection, *, wait_s: float) -> str:
    """Switch a file to a write-ahead log; give the mode that it has then, as not every disk can keep one.

    Of two connections that switch a new file at once, SQLite refuses one without any wait, whatever its
    time-out: the two could wait for each other. It is tried again.

    Args:
        connection: In no transaction.
        wait_s: For how long others are waited for, beside the connection's own time-out.

    Raises:
        sqlite3.Error: If it cannot be done, or not in time.

    Source: https://www.sqlite.org/c3ref/busy_handler.html
    """
    deadline_s = SYSTEM_CLOCK.monotonic() + wait_s
    while True:
        try:
            (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
        except sqlite3.OperationalError as exc:
            is_busy = exc.sqlite_errorcode & _PRIMARY_CODE == _BUSY
            if not is_busy or SYSTEM_CLOCK.monotonic() >= deadline_s:
                raise
            SYSTEM_CLOCK.sleep(_PAUSE_S)
        else:
            return str(mode)
