"""What the watch knows, on disk: clients and their profiles, and who has read which version of what.

Writes are gathered in one transaction and made durable some seconds apart. A process that is killed at
any instant loses these seconds; the journal has every access. What is damaged is put aside, and all is
learnt anew.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from resile.core.files import SYSTEM_FILES, Files, make_private_dir
from resile.core.log_line import log_line
from resile.errors import SecretError
from resile.secrets.anomaly.model import Read
from resile.secrets.anomaly.schema import (
    DamagedError,
    connect,
    in_memory,
    is_damage,
    put,
    put_aside,
)

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

COMMIT_AFTER_S: Final = 2.0
"""What may be lost when the process is killed."""
READS_MAX: Final = 50_000
"""Some 10 MB. Above it the oldest tenth is forgotten, retired versions first."""
VERSIONS_MAX: Final = 8
"""Of one secret that one client has read."""
TRAITS_MAX: Final = 16
"""Of one sort of one client."""
_PRUNE_EVERY: Final = 1000
"""So many new rows are counted before all of them are."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRow:
    """What is kept of a client.

    Args:
        name: Who.
        first_s: When it was seen first, in seconds from the epoch.
        last_s: When it was seen last, within the hour.
        breadth: Its own maximum of different secrets in an hour.
        profile: What `Profile.pack` gave.
    """

    name: str
    first_s: float
    last_s: float
    breadth: float
    profile: bytes


class AccessMemory:
    """The file. Not thread-safe, but any thread may use it in its turn; one process at a time.

    A write that fails for another reason than damage is logged and forgotten: an access is not
    refused because the disk is full. Reading gives nothing then.

    Args:
        path: The file; made with its folder if it is missing.
        files: Where a damaged one is put aside.

    Raises:
        SecretError: If it can be neither opened nor made.
    """

    def __init__(self, path: Path, *, files: Files = SYSTEM_FILES) -> None:
        self._path = path
        self._files = files
        self._lost = ""
        self._committed_s = 0.0
        self._added = 0
        self._is_failing = False
        self._is_closed = False
        make_private_dir(path.parent)
        self._db = self._open()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def take_loss(self) -> str:
        """Tell once why all is learnt anew; empty if it is not."""
        lost, self._lost = self._lost, ""
        return lost

    def began_s(self, at_s: float) -> float:
        """Tell when the first access was seen: at `at_s`, if none was before."""
        row = self._read(lambda db: db.execute("select at_s from began").fetchone(), None)
        if row is not None:
            return float(row[0])
        self._write(lambda db: put(db, "began", (at_s,)))
        return at_s

    def clients(self) -> tuple[ClientRow, ...]:
        """Give all clients, the least recently seen first."""
        rows: Rows = self._read(
            lambda db: db.execute(
                "select name, first_s, last_s, breadth, profile from client order by last_s, name"
            ).fetchall(),
            [],
        )
        return tuple(
            ClientRow(name=row[0], first_s=row[1], last_s=row[2], breadth=row[3], profile=row[4])
            for row in rows
        )

    def save_client(self, row: ClientRow) -> None:
        """Keep a client, in place of what was kept of it."""
        values = row.name, row.first_s, row.last_s, row.breadth, row.profile
        self._write(lambda db: put(db, "client", values))

    def forget_client(self, name: str) -> None:
        """Forget a client with all that it has read."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("delete from client where name = ?", (name,))
            db.execute("delete from trait where client = ?", (name,))
            db.execute("delete from read where client = ?", (name,))

        self._write(work)

    def traits(self, client: str) -> dict[str, set[str]]:
        """Give what a client is known by, by its sort."""
        rows: Rows = self._read(
            lambda db: db.execute(
                "select sort, value from trait where client = ?", (client,)
            ).fetchall(),
            [],
        )
        found: dict[str, set[str]] = {}
        for sort, value in rows:
            found.setdefault(sort, set()).add(value)
        return found

    def add_trait(self, client: str, sort: str, value: str, at_s: float) -> None:
        """Keep what a client is known by now; the oldest of too many of one sort go."""

        def work(db: sqlite3.Connection) -> None:
            put(db, "trait", (client, sort, value, at_s))
            db.execute(
                "delete from trait where client = ?1 and sort = ?2 and value not in (select value "
                "from trait where client = ?1 and sort = ?2 order by last_s desc limit ?3)",
                (client, sort, TRAITS_MAX),
            )

        self._write(work)

    def has_read(self, client: str, name: str) -> bool:
        """Tell whether a client was ever given any version of a secret."""
        return self._read(
            lambda db: (
                db.execute(
                    "select 1 from read where client = ? and secret = ? limit 1", (client, name)
                ).fetchone()
                is not None
            ),
            False,
        )

    def add_read(self, client: str, name: str, number: str, at_s: float, count: int) -> None:
        """Keep that a client was given a version."""

        def work(db: sqlite3.Connection) -> None:
            key = client, name, number
            row = db.execute(
                "select first_s, count from read where client = ? and secret = ? and number = ?",
                key,
            ).fetchone()
            first_s, before = row or (at_s, 0)
            put(db, "read", (*key, first_s, at_s, before + count, 1))
            if row is None:
                self._bound(db, client, name)

        self._write(work)

    def retire(self, name: str, number: str) -> None:
        """Keep that a version opens nothing any more; all of them if `number` is empty."""

        def work(db: sqlite3.Connection) -> None:
            rows = db.execute(
                "select client, secret, number, first_s, last_s, count from read "
                "where secret = ? and (number = ? or ? = '') and is_open",
                (name, number, number),
            ).fetchall()
            for row in rows:
                put(db, "read", (*row, 0))

        self._write(work)

    def reads(
        self, *, client: str = "", name: str = "", is_open: bool = False, limit: int = 1000
    ) -> tuple[Read, ...]:
        """Tell who has read what, the latest first.

        Args:
            client: Only of this one; empty: of all.
            name: Only this secret; empty: all.
            is_open: Only versions that open something still.
            limit: At most so many.
        """
        rows: Rows = self._read(
            lambda db: db.execute(
                "select client, secret, number, first_s, last_s, count, is_open from read "
                "where (?1 = '' or client = ?1) and (?2 = '' or secret = ?2) "
                "and is_open >= ?3 order by last_s desc, secret, number limit ?4",
                (client, name, int(is_open), limit),
            ).fetchall(),
            [],
        )
        return tuple(map(_read_of, rows))

    def commit(self) -> None:
        """Make what was written survive the end of this process."""
        with self._failing_gently():
            if self._db.in_transaction:
                self._db.execute("commit")
                self._is_failing = False

    def commit_if_due(self, at_s: float) -> None:
        """Do so if that was not done for some seconds, or the clock was set back."""
        if self._db.in_transaction and not 0 <= at_s - self._committed_s < COMMIT_AFTER_S:
            self.commit()
            self._committed_s = at_s

    def close(self) -> None:
        """Make all durable, and close it. Idempotent."""
        if not self._is_closed:
            self.commit()
            self._is_closed = True
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        try:
            try:
                return connect(self._path)
            except DamagedError as exc:
                self._lost = (
                    f"{exc}; it was put aside as {put_aside(self._path, files=self._files)}"
                )
                return connect(self._path)
        except (sqlite3.Error, OSError, DamagedError) as exc:
            raise SecretError(
                f"{self._path}, which keeps who read what, cannot be opened: {exc}",
                hint=f"check the permissions of {self._path.parent} and the space on its disk",
            ) from exc

    def _bound(self, db: sqlite3.Connection, client: str, name: str) -> None:
        """Forget the oldest of too many rows."""
        db.execute(
            "delete from read where client = ?1 and secret = ?2 and number not in (select number "
            "from read where client = ?1 and secret = ?2 order by last_s desc limit ?3)",
            (client, name, VERSIONS_MAX),
        )
        self._added += 1
        if self._added % _PRUNE_EVERY == 0:
            (count,) = db.execute("select count(*) from read").fetchone()
            if count > READS_MAX:
                db.execute(
                    "delete from read where (client, secret, number) in (select client, secret, number "
                    "from read order by is_open, last_s limit ?)",
                    (count - READS_MAX * 9 // 10,),
                )

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with self._failing_gently():
            if not self._db.in_transaction:
                self._db.execute("begin immediate")
            work(self._db)

    def _read(self, work: Callable[[sqlite3.Connection], T], default: T) -> T:
        with self._failing_gently():
            return work(self._db)
        return default

    @contextlib.contextmanager
    def _failing_gently(self) -> Iterator[None]:
        """Begin anew after damage; log what else fails, once until it works again."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # A mistake of ours, such as a use after `close`.
        except sqlite3.Error as exc:
            if is_damage(exc):
                self._renew(exc)
                return
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
            fields: dict[str, object] = {"path": str(self._path), "reason": str(exc)}
            if not self._is_failing:
                logger.warning(log_line("anomaly.memory_failed", fields), extra=fields)
            self._is_failing = True

    def _renew(self, exc: sqlite3.Error) -> None:
        """Begin a new file; without one, keep in memory what is learnt in this life."""
        self._db.close()
        try:
            aside = put_aside(self._path, files=self._files)
            self._db = self._open()
            self._lost = f"{exc}; it was put aside as {aside}"
        except (OSError, SecretError) as other:
            self._db = in_memory()
            self._lost = f"{exc}; and no new file can be made: {other}"


def _read_of(row: tuple[Any, ...]) -> Read:
    client, name, number, first_s, last_s, count, is_open = row
    return Read(
        client=client,
        name=name,
        version_number=number,
        first_at=datetime.fromtimestamp(first_s, UTC),
        last_at=datetime.fromtimestamp(last_s, UTC),
        count=count,
        is_open=bool(is_open),
    )
