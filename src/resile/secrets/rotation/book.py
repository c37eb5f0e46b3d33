"""The rotation book: how far each rotation is, on the disk before anything is done about it.

Of several processes with the same book one at a time carries on with a rotation: who has its lease. A
lease ends with its process, or when it was not renewed for a minute; whoever takes it then gets a
higher fence, and what the one before still wants to write is refused.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.codec import decode, encode
from resile.core.events.envelope import Payload
from resile.core.process import Identity, identity_of, is_alive
from resile.core.vocabulary import RotationReason
from resile.errors import SecretConflictError
from resile.secrets.rotation.agenda import Agenda, drop_owed, put_owed
from resile.secrets.rotation.model import Entry, Owed, Record
from resile.secrets.rotation.news import news_of
from resile.secrets.rotation.schema import BookFile

LEASE_S: Final = 60.0
ENDED_MAX: Final = 1000
"""Rotations that are over; those of the last day stay in any case, as budgets count them."""
ROWS_MAX: Final = 20_000
NEWS_MAX: Final = 10_000
"""Events for a journal that is away; the oldest go."""
_DAY: Final = timedelta(days=1)
_CHECKSUM_BYTES: Final = 16


class LeaseLostError(Exception):
    """Somebody else carries on with the rotation. Never leaves the engine."""


class ChangedError(Exception):
    """The record is another one than was thought. Never leaves the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to carry on with a rotation.

    Args:
        rotation_id: Which.
        fence: Higher than that of all claims before it.
    """

    rotation_id: str
    fence: int


class Book:
    """The book of one state folder. Safe to share between threads and processes.

    Args:
        path: The file; made if there is none, with a private folder.
        clock: For times and leases.
        me: Who holds the leases that are taken. Default: this process.
        lives: Tells whether a holder still runs.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        me: Identity | None = None,
        lives: Callable[[Identity], bool] = is_alive,
    ) -> None:
        self._file = BookFile(path)
        self.agenda = Agenda(self._file, clock=clock)
        self._clock = clock
        self._me = me or _myself()
        self._lives = lives

    @property
    def boot(self) -> str:
        """The boot that seconds of records belong to."""
        return self._me.boot_id

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        self._file.close()

    # Rotations ----------------------------------------------------------------------------------

    def begin(
        self, record: Record, *, allow: Callable[[list[tuple[str, datetime]]], None] | None = None
    ) -> Claim:
        """Write a new rotation down, and take it on.

        Args:
            record: How it begins.
            allow: Is given the names and times of what was begun for what looks odd in the last day,
                and raises to refuse.

        Raises:
            SecretConflictError: If one of this secret, or of what it changes, is open.
        """
        now = self._clock.now()
        with self._file.transaction() as sql:
            row = sql.execute(
                f"select {_COLUMNS} from rotation where is_open and (name = ? or target = ?)",  # noqa: S608
                (record.name, record.target),
            ).fetchone()
            if row is not None:
                raise taken(self._read(row))
            if allow is not None:
                allow(_begun_around(sql, now))
            body = _written(record)
            sql.execute(
                "insert into rotation (rotation_id, name, target, reason, is_open, began_at_s, body,"
                " checksum) values (?, ?, ?, ?, 1, ?, ?, ?)",
                (
                    record.rotation_id,
                    record.name,
                    record.target,
                    record.reason,
                    now.timestamp(),
                    body,
                    _checksum(record.rotation_id, body),
                ),
            )
            drop_owed(sql, record.name)
            self._tell(sql, None, record)
            _prune(sql, now)
            return self._lease(sql, record.rotation_id, fence=1)

    def claim(self, rotation_id: str) -> Claim | None:
        """Take an open rotation on; None if somebody lives who has, or it has ended.

        An attempt of one that did not let go counts: it may be what ended its process.
        """
        with self._file.transaction() as sql:
            row = sql.execute(
                f"select holder, boot, until_s, fence, {_COLUMNS} from rotation"  # noqa: S608
                " where is_open and rotation_id = ?",
                (rotation_id,),
            ).fetchone()
            if row is None or self._is_held(*row[:3]):
                return None
            if row[0]:
                record = self._read(row[4:])
                self._write(sql, record, replace(record, tries=record.tries + 1))
            return self._lease(sql, rotation_id, fence=row[3] + 1)

    def read(self, claim: Claim) -> Record:
        """Give the record as it is now.

        Raises:
            LeaseLostError: If it is somebody else's.
        """
        with self._file.transaction(is_write=False) as sql:
            return self._claimed(sql, claim)

    def change(self, claim: Claim, work: Callable[[Record], Record]) -> None:
        """Change the record, durably, with the events that follow from it.

        Args:
            claim: By what right.
            work: Gives the new record from the one that is there.

        Raises:
            LeaseLostError: If it is somebody else's.
        """
        with self._file.transaction() as sql:
            before = self._claimed(sql, claim)
            self._write(sql, before, work(before))
            self._lease(sql, claim.rotation_id, fence=claim.fence)

    def replace(
        self,
        claim: Claim,
        before: Record,
        after: Record,
        *,
        owed: Iterable[Owed],
        entry: Callable[[Entry], Entry],
    ) -> None:
        """Put a record in the place of another, with what follows for the agenda if it has ended.

        Args:
            claim: By what right.
            before: The record that must be there.
            after: The new one.
            owed: Rotations that follow.
            entry: Gives what is to be known of the secret from what is known.

        Raises:
            LeaseLostError: If it is somebody else's.
            ChangedError: If another record is there.
        """
        with self._file.transaction() as sql:
            if self._claimed(sql, claim) != before:
                raise ChangedError
            self._write(sql, before, after)
            self._lease(sql, claim.rotation_id, fence=claim.fence)
            if after.outcome is None:
                return
            for one in owed:
                put_owed(sql, one)
            self.agenda.change(sql, after.name, entry)

    def amend(self, rotation_id: str, work: Callable[[Record], Record]) -> Record:
        """Change the record of an open rotation without a claim: whoever carries on sees it.

        Raises:
            SecretConflictError: If it has ended.
        """
        with self._file.transaction() as sql:
            row = sql.execute(
                f"select {_COLUMNS} from rotation where is_open and rotation_id = ?",  # noqa: S608
                (rotation_id,),
            ).fetchone()
            if row is None:
                raise SecretConflictError(f"rotation {rotation_id} has ended")
            before = self._read(row)
            after = work(before)
            self._write(sql, before, after)
            return after

    def release(self, claim: Claim) -> None:
        """Let somebody else carry on. Nothing happens if somebody does already."""
        with self._file.transaction() as sql:
            sql.execute(
                "update rotation set holder = '', until_s = 0 where rotation_id = ? and fence = ?",
                (claim.rotation_id, claim.fence),
            )

    def renew(self, claims: Iterable[Claim]) -> None:
        """Hold leases for longer; those that were lost or let go meanwhile are left."""
        until_s = self._clock.monotonic() + LEASE_S
        with self._file.transaction() as sql:
            sql.executemany(
                "update rotation set until_s = ?"
                " where rotation_id = ? and fence = ? and holder <> '' and is_open",
                [(until_s, claim.rotation_id, claim.fence) for claim in claims],
            )

    def find(self, rotation_id: str) -> Record | None:
        """Give a rotation, open or ended; None if it is not known (any more)."""
        return self._one("rotation_id = ?", rotation_id)

    def open_of(self, name: str) -> Record | None:
        """Give the open rotation of a secret."""
        return self._one("is_open and name = ?", name)

    def open_ones(self) -> tuple[Record, ...]:
        """Give all open rotations, the oldest first."""
        return self._several("is_open order by began_at_s, rotation_id limit ?", ROWS_MAX)

    def ended(self, limit: int) -> tuple[Record, ...]:
        """Give the last rotations that are over, the newest first."""
        return self._several(
            "not is_open order by began_at_s desc, rotation_id desc limit ?", limit
        )

    # Events -------------------------------------------------------------------------------------

    def news(self, limit: int) -> tuple[tuple[int, Payload], ...]:
        """Give events that were not told yet, the oldest first, with their numbers."""
        with self._file.transaction(is_write=False) as sql:
            rows = sql.execute(
                "select seq, kind, body from news order by seq limit ?", (limit,)
            ).fetchall()
        return tuple(
            (seq, self._file.decoded(Payload.registry[kind], body)) for seq, kind, body in rows
        )

    def forget_news(self, seq: int) -> None:
        """Note that events were told, up to this one."""
        with self._file.transaction() as sql:
            sql.execute("delete from news where seq <= ?", (seq,))

    # Inside a transaction -----------------------------------------------------------------------

    def _claimed(self, sql: sqlite3.Connection, claim: Claim) -> Record:
        row = sql.execute(
            f"select {_COLUMNS} from rotation where rotation_id = ? and fence = ?",  # noqa: S608
            (claim.rotation_id, claim.fence),
        ).fetchone()
        if row is None:
            raise LeaseLostError
        return self._read(row)

    def _write(self, sql: sqlite3.Connection, before: Record, after: Record) -> None:
        if after == before:
            return
        body = _written(after)
        is_open = after.outcome is None
        sql.execute(
            "update rotation set body = ?, checksum = ?, is_open = ?, reason = ? where rotation_id = ?",
            (
                body,
                _checksum(after.rotation_id, body),
                is_open,
                after.reason,
                after.rotation_id,
            ),
        )
        self._tell(sql, before, after)

    def _lease(self, sql: sqlite3.Connection, rotation_id: str, *, fence: int) -> Claim:
        """Hold the lease by this fence, and never by a lower one than it has."""
        sql.execute(
            "update rotation set holder = ?, boot = ?, until_s = ?, fence = ?"
            " where rotation_id = ? and fence <= ? and is_open",
            (
                json.dumps(encode(self._me)),
                self._me.boot_id,
                self._clock.monotonic() + LEASE_S,
                fence,
                rotation_id,
                fence,
            ),
        )
        return Claim(rotation_id=rotation_id, fence=fence)

    def _is_held(self, holder: str, boot: str, until_s: float) -> bool:
        if not holder or boot != self._me.boot_id or until_s <= self._clock.monotonic():
            return False
        return self._lives(decode(Identity, json.loads(holder)))

    def _tell(self, sql: sqlite3.Connection, before: Record | None, after: Record) -> None:
        for payload in news_of(before, after):
            body = json.dumps(encode(payload))
            sql.execute("insert into news (kind, body) values (?, ?)", (payload.kind, body))

    # The file -----------------------------------------------------------------------------------

    def _one(self, where: str, value: str) -> Record | None:
        found = self._several(f"{where} limit 1", value)
        return found[0] if found else None

    def _several(self, where: str, value: str | int) -> tuple[Record, ...]:
        with self._file.transaction(is_write=False) as sql:
            rows = sql.execute(
                f"select {_COLUMNS} from rotation where {where}",  # noqa: S608 - no input in it
                (value,),
            ).fetchall()
        return tuple(map(self._read, rows))

    def _read(self, row: tuple[Any, ...]) -> Record:
        rotation_id, body, checksum = row
        if _checksum(rotation_id, body) != checksum:
            raise self._file.damaged(f"the checksum of {rotation_id} does not hold")
        return self._file.decoded(Record, body).on_boot(self._me.boot_id)


def taken(record: Record) -> SecretConflictError:
    """Give the error for a rotation that cannot begin because of this one."""
    whom = f", and waits for {', '.join(record.alerted)}" if record.alerted else ""
    what = f", after: {record.trouble}" if record.trouble else ""
    return SecretConflictError(
        f"{record.name} is being rotated already, since {record.began_at:%F %T} UTC by {record.who}"
        f" ({record.step}{whom}{what})",
        hint="it goes on by itself: see resile secrets list; a compromise goes before it",
    )


_COLUMNS: Final = "rotation_id, cast(body as blob), checksum"


def _begun_around(sql: sqlite3.Connection, now: datetime) -> list[tuple[str, datetime]]:
    """Give what was begun within a day of now: later, if the clock was set back a little since."""
    rows = sql.execute(
        "select name, began_at_s from rotation where reason = ? and began_at_s > ? and began_at_s < ?",
        (RotationReason.ANOMALY, (now - _DAY).timestamp(), (now + _DAY).timestamp()),
    )
    return [(name, datetime.fromtimestamp(began_s, tz=now.tzinfo)) for name, began_s in rows]


def _prune(sql: sqlite3.Connection, now: datetime) -> None:
    beyond = (
        "delete from rotation where not is_open and began_at_s < ? and rotation_id in (select"
        " rotation_id from rotation where not is_open order by began_at_s desc limit -1 offset ?)"
    )
    sql.execute(beyond, ((now - _DAY).timestamp(), ENDED_MAX))
    sql.execute(beyond, (now.timestamp(), ROWS_MAX))
    sql.execute("delete from news where seq <= (select max(seq) from news) - ?", (NEWS_MAX,))


def _written(record: Record) -> bytes:
    return json.dumps(encode(record)).encode()


def _checksum(rotation_id: str, body: bytes) -> bytes:
    return blake2b(rotation_id.encode() + b"\0" + body, digest_size=_CHECKSUM_BYTES).digest()


def _myself() -> Identity:
    found = identity_of(os.getpid())
    if found is None:
        raise AssertionError("this process does not run")
    return found
