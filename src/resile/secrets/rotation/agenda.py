"""What is to be rotated when, beyond what the configuration says: kept in the file of the book."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.secrets.rotation.model import Entry, Owed
from resile.secrets.rotation.schedule import REPEAT_WAIT_S_MAX, entry_at
from resile.secrets.rotation.schema import BookFile


class Agenda:
    """When each secret was rotated last, and what is owed. Safe to share between threads and processes.

    Args:
        file: Of the book.
        clock: For times.
    """

    def __init__(self, file: BookFile, *, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    def entries(self, names: Iterable[str]) -> dict[str, Entry]:
        """Give what is known of these secrets; one that is new is remembered as seen now."""
        wanted, now = tuple(names), self._clock.now()
        with self._file.transaction(is_write=False) as sql:
            rows = dict(sql.execute("select name, body from timetable").fetchall())
        known = {name: self._file.decoded(Entry, rows[name]) for name in wanted if name in rows}
        other = [
            one for one in wanted if one not in known or entry_at(known[one], now) != known[one]
        ]
        if other:
            with self._file.transaction() as sql:
                for name in other:
                    known[name] = self.change(sql, name, lambda entry: entry_at(entry, now))
        return known

    def change(self, sql: sqlite3.Connection, name: str, work: Callable[[Entry], Entry]) -> Entry:
        """Change what is known of a secret, in somebody's transaction."""
        row = sql.execute("select body from timetable where name = ?", (name,)).fetchone()
        before = (
            Entry(seen_at=self._clock.now()) if row is None else self._file.decoded(Entry, row[0])
        )
        after = work(before)
        sql.execute(
            "insert or replace into timetable (name, body) values (?, ?)",
            (name, json.dumps(encode(after))),
        )
        return after

    def owed(self, now: datetime) -> tuple[Owed, ...]:
        """Give the rotations that are owed and due, the most overdue first.

        What is due later than anything can be was written by a clock that was ahead: it is due.
        """
        now_s = now.timestamp()
        with self._file.transaction(is_write=False) as sql:
            rows = sql.execute(
                "select body from owed where due_at_s <= ? or due_at_s > ? order by due_at_s, name",
                (now_s, now_s + REPEAT_WAIT_S_MAX),
            ).fetchall()
        return tuple(self._file.decoded(Owed, body) for (body,) in rows)


def put_owed(sql: sqlite3.Connection, owed: Owed) -> None:
    """Write it down, in somebody's transaction."""
    sql.execute(
        "insert or replace into owed (name, due_at_s, body) values (?, ?, ?)",
        (owed.name, owed.due_at.timestamp(), json.dumps(encode(owed))),
    )


def drop_owed(sql: sqlite3.Connection, name: str) -> None:
    """Strike it out, in somebody's transaction."""
    sql.execute("delete from owed where name = ?", (name,))
