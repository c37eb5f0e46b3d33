"""A database whose write lock somebody holds, as a forgotten transaction does."""

import contextlib
import sqlite3
from typing import ClassVar, Final
from urllib.parse import quote

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import LOOK_S, Carrying
from resile.chaos.faults.base import CarriedFault, work_proof
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import path_of
from resile.errors import ConfigError, OperationError, RejectedError

_MAGIC: Final = b"SQLite format 3\x00"
"""Source: https://www.sqlite.org/fileformat.html, "The Database Header"."""
_BEGINNINGS: Final = {"write": "BEGIN IMMEDIATE", "all": "BEGIN EXCLUSIVE"}
_BUSY_S: Final = 0.5
"""It is waited for so long at a time for others to let go."""


class Locked(CarriedFault):
    """A transaction that is begun and never ended."""

    name = "database.lock"
    text = "hold the write lock of an SQLite database (SQLITE_BUSY)"
    target: ClassVar[TargetKind] = TargetKind.FILE
    parameters = (
        Parameter(
            name="against",
            kind=Kind.TEXT,
            text="what others cannot do: write, or all but what WAL lets them read",
            default="write",
            choices=tuple(_BEGINNINGS),
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the database."""
        path = path_of(wish.target, host)
        if path.is_relative_to(host.state.resolve()):
            raise RejectedError(
                f"{path} is resile's own, and the end of a fault is written there",
                hint="name a database of the system",
            )
        try:
            with path.open("rb") as file:
                is_database = file.read(len(_MAGIC)) == _MAGIC
        except OSError as exc:
            raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
        if not is_database:
            raise ConfigError(f"{path} is no SQLite database", hint="name one with tables in it")
        return {"file": str(path)}

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is held."""
        return work_proof(
            record, host, "is_held", done="the lock is held", undone="the lock is waited for"
        )


def hold(carrying: Carrying) -> None:
    """Take the lock and keep it; the kernel lets go of it with this process.

    Raises:
        OperationError: If the database cannot be opened, or is none.
    """
    url = f"file:{quote(carrying.record.facts['file'])}?mode=rw"
    try:
        with contextlib.closing(
            sqlite3.connect(url, uri=True, timeout=_BUSY_S, isolation_level=None)
        ) as database:
            while not _begun(database, _BEGINNINGS[carrying.record.arguments["against"]]):
                carrying.clock.sleep(LOOK_S)
            carrying.say({"is_held": True})
            while True:
                carrying.clock.sleep(LOOK_S)
    except sqlite3.Error as exc:
        raise OperationError(f"the database cannot be locked: {exc}") from exc


def _begun(database: sqlite3.Connection, words: str) -> bool:
    """Try to begin; False while another has the lock."""
    try:
        database.execute(words)
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return False
    return True
