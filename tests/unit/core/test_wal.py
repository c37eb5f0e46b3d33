"""A file is switched to its write-ahead log whoever else does so at the same time."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from resile.core.wal import write_ahead


def connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


class Refused(sqlite3.Connection):
    """Is refused some times at once, as SQLite does where two would wait for each other."""

    left = 3

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.left:
            self.left -= 1
            refusal = sqlite3.OperationalError("database is locked")
            refusal.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
            raise refusal
        return super().execute(sql, parameters)


def test_who_is_refused_at_once_tries_again(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None, factory=Refused)

    assert write_ahead(connection, wait_s=20) == "wal"

    connection.close()


def test_who_keeps_a_file_to_itself_is_not_waited_for_without_end(tmp_path: Path) -> None:
    holder = connected(tmp_path / "a.db")
    holder.execute("begin exclusive")
    other = sqlite3.connect(tmp_path / "a.db", timeout=0, isolation_level=None)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(other, wait_s=0.02)

    holder.close()
    other.close()


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database" * 100)
    connection = connected(tmp_path / "a.db")

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(connection, wait_s=60)

    connection.close()
