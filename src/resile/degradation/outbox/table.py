"""The messages in the file of an outbox. Each method is one transaction: all of it, or nothing.

A message that is being sent has a lease: a name that only its sender knows, and the time until which
nobody else takes it. An attempt counts when it begins, so that a message which kills its sender is
not sent for ever.
"""

import contextlib
import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from resile.core.clock import Clock
from resile.core.forking import ForkSafe
from resile.core.process import boot_id
from resile.degradation.outbox.model import (
    WHY_LENGTH_MAX,
    Counts,
    DeadLetter,
    Message,
    OutboxLimits,
    WhenFull,
    checksum,
)
from resile.degradation.outbox.schema import (
    FAULTS,
    connect,
    is_out_of_room,
    need_room,
    storage_error,
)
from resile.errors import OutboxError, OutboxFullError

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COLUMNS: Final = "seq, id, key, cast(body as blob), checksum, put_at_us, tries, why"
"""A body that somebody else wrote may be text."""
_FREE: Final = "(boot != :boot or due_s <= :now)"
"""Not waiting, nor leased: a lease is a wait as well, for all but its owner."""
_NEXT: Final = f"""select {_COLUMNS} from message m where is_dead = 0 and {_FREE} and not exists
    (select 1 from message e where e.is_dead = 0 and e.key = m.key and e.seq < m.seq)
    order by seq limit 1"""  # noqa: S608 - no input in it
DAMAGED: Final = "it is not what was put in: its checksum does not fit"
DEADLY: Final = "each attempt ended with the end of its process"


class Taken(NamedTuple):
    """A message that is being sent, and the lease by which it is ours."""

    seq: int
    lease: str
    message: Message


class Outcome(NamedTuple):
    """What came of an attempt; `why` is None if it was sent, empty if it was broken off."""

    taken: Taken
    why: str | None


class Table:
    """The file of one outbox. Safe to share between threads; other processes may use the file too.

    Args:
        path: The file.
        limits: How much it keeps, and how often it tries.
        clock: For leases and waits.
        chance: Spreads the waits.
    """

    def __init__(
        self, path: Path, *, limits: OutboxLimits, clock: Clock, chance: random.Random
    ) -> None:
        self.path = path
        self._limits = limits
        self._clock = clock
        self._chance = chance
        self._connection: sqlite3.Connection | None = None
        self._guarded = ForkSafe(self._close, forget=self._forget)
        self._forgotten: list[sqlite3.Connection] = []
        """Kept from being closed by the garbage collector: they are the parent's."""

    def add(self, message_id: str, key: str, body: bytes) -> bool:
        """Keep a message; False if one of this id waits, is dead, or was sent lately.

        Raises:
            OutboxFullError: If there is no room, and none may be made; or never for one so large.
            OutboxError: If it could not be made durable; then it is not there.
        """

        def work(sql: sqlite3.Connection) -> bool:
            for name in ("message", "sent"):
                known = sql.execute(f"select 1 from {name} where id = ?", (message_id,))  # noqa: S608
                if known.fetchone():
                    return False
            if len(body) > self._limits.size_max:
                raise OutboxFullError(
                    f"the message is too large for outbox {self.path}: "
                    f"{len(body)} bytes of JSON, of {self._limits.size_max} for all",
                    hint="put in where the data is, such as its path or id; or raise bytes_max",
                )
            self._make_room(sql, count=1, size=len(body))
            need_room(sql, self.path, size=len(body))
            at_us = (self._clock.now() - _EPOCH) // _MICROSECOND
            sql.execute(
                "insert into message (id, key, body, checksum, put_at_us) values (?, ?, ?, ?, ?)",
                (message_id, key, body, checksum(message_id, key, body), at_us),
            )
            return True

        return self._write(work)

    def exchange(self, outcome: Outcome | None, *, is_more: bool) -> tuple[Taken | None, bool]:
        """Settle one attempt and take the next message, in one commit.

        Args:
            outcome: What came of the last attempt.
            is_more: False takes none.

        Returns:
            What is to be sent now, if anything; and True if the last one is a dead letter now.

        Raises:
            OutboxError: If it could not be made durable; then the attempt is made again later.
        """

        def work(sql: sqlite3.Connection) -> tuple[Taken | None, bool]:
            is_dead = outcome is not None and self._settle(sql, outcome)
            return (self._take(sql) if is_more else None), is_dead

        return self._write(work)

    def counts(self) -> Counts:
        """Tell how full it is."""
        with self._transaction() as sql:
            totals = sql.execute("select count, size from total order by is_dead").fetchall()
            (waiting, size), (dead, _), (dropped, _) = totals
            return Counts(waiting, size, dead, dropped)

    def next_s(self) -> float | None:
        """Tell the seconds until a message is due, 0 or more; None if none waits."""
        now = self._clock.monotonic()
        with self._transaction() as sql:
            row = sql.execute(
                "select min(case when boot = ? then due_s else 0 end) from message"
                " where is_dead = 0",
                (boot_id(),),
            ).fetchone()
        return None if row[0] is None else max(row[0] - now, 0.0)

    def hasten(self) -> None:
        """Make all that waits for its next attempt due now, but for what is being sent."""
        self._write(
            lambda sql: sql.execute("update message set boot = '' where is_dead = 0 and lease = ''")
        )

    def dead(self, count: int) -> tuple[DeadLetter, ...]:
        """Give dead letters, the oldest first."""
        query = f"select {_COLUMNS} from message where is_dead = 1 order by seq limit ?"  # noqa: S608
        with self._transaction() as sql:
            return tuple(
                DeadLetter(message=_message(row), why=row[7])
                for row in sql.execute(query, (count,)).fetchall()
            )

    def revive(self, message_ids: Sequence[str] | None) -> int:
        """Let dead letters wait again, in their old places; all of them for None.

        Raises:
            OutboxFullError: If there is no room for all of them; then none is.
        """

        def work(sql: sqlite3.Connection) -> int:
            where, given = "is_dead = 1", ()  # type: tuple[str, tuple[str, ...]]
            if message_ids is not None:
                marks = ", ".join("?" * len(message_ids))
                where, given = f"is_dead = 1 and id in ({marks})", tuple(message_ids)
            count, size = sql.execute(
                f"select count(*), coalesce(sum(length(body)), 0) from message where {where}",  # noqa: S608
                given,
            ).fetchone()
            self._make_room(sql, count=count, size=size)
            sql.execute(
                "update message set is_dead = 0, tries = 0, boot = '', lease = '', why = ''"  # noqa: S608
                f" where {where}",
                given,
            )
            return int(count)

        return self._write(work)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._guarded.lock:
            self._close()

    # Inside a transaction -----------------------------------------------------------------------

    def _take(self, sql: sqlite3.Connection) -> Taken | None:
        """Lease the first message that is due, at the head of its key; bury those that kill."""
        now = self._clock.monotonic()
        while row := sql.execute(_NEXT, {"boot": boot_id(), "now": now}).fetchone():
            seq, tries = row[0], row[6]
            if checksum(row[1], row[2], row[3]) != row[4]:
                self._bury(sql, seq, DAMAGED)
            elif tries >= self._limits.attempts:
                self._bury(sql, seq, DEADLY)
            else:
                lease = os.urandom(8).hex()
                sql.execute(
                    "update message set lease = ?, boot = ?, due_s = ?, tries = tries + 1"
                    " where seq = ?",
                    (lease, boot_id(), now + self._limits.lease_s, seq),
                )
                return Taken(seq, lease, _message(row, tries=tries + 1))
        return None

    def _settle(self, sql: sqlite3.Connection, outcome: Outcome) -> bool:
        """Do what follows from an attempt; True if the message is a dead letter now."""
        taken, why = outcome
        if why is None:
            # Also if the lease is somebody else's by now: it was sent.
            sql.execute("delete from message where seq = ?", (taken.seq,))
            self._remember(sql, taken.message.id)
            return False
        owned = (taken.seq, taken.lease)
        if not why:
            sql.execute(
                "update message set lease = '', boot = '', tries = tries - 1"
                " where seq = ? and lease = ?",
                owned,
            )
            return False
        if taken.message.tries >= self._limits.attempts:
            known = sql.execute("select 1 from message where seq = ? and lease = ?", owned)
            return known.fetchone() is not None and self._bury(sql, taken.seq, why)
        wait_s = self._limits.wait_s(taken.message.tries, self._chance)
        sql.execute(
            "update message set lease = '', due_s = ?, why = ? where seq = ? and lease = ?",
            (self._clock.monotonic() + wait_s, why[:WHY_LENGTH_MAX], *owned),
        )
        return False

    def _bury(self, sql: sqlite3.Connection, seq: int, why: str) -> bool:
        """Make a dead letter of a message; the oldest go if there are too many."""
        sql.execute(
            "update message set is_dead = 1, lease = '', why = ? where seq = ?",
            (why[:WHY_LENGTH_MAX], seq),
        )
        limits = self._limits
        while True:
            count, size = _total(sql, is_dead=True)
            if count <= limits.dead_max and (size <= limits.size_max or count == 1):
                return True
            self._drop(sql, "is_dead = 1")

    def _make_room(self, sql: sqlite3.Connection, *, count: int, size: int) -> None:
        """See that so many more may wait.

        Raises:
            OutboxFullError: If they may not.
        """
        limits = self._limits
        while True:
            waiting, used = _total(sql, is_dead=False)
            if waiting + count <= limits.count_max and used + size <= limits.size_max:
                return
            may_drop = limits.when_full is WhenFull.DROP_OLDEST
            fits = count <= limits.count_max and size <= limits.size_max
            free = f"is_dead = 0 and (lease = '' or {_FREE})"
            if not (may_drop and fits and self._drop(sql, free)):
                raise OutboxFullError(
                    f"outbox {self.path} is full: {waiting} of {limits.count_max} messages, "
                    f"{used} of {limits.size_max} bytes",
                    hint="send what waits: outbox.drain(send); or raise count_max or bytes_max",
                )

    def _drop(self, sql: sqlite3.Connection, where: str) -> bool:
        """Lose the oldest of some messages, and count it; False if there is none."""
        done = sql.execute(
            "delete from message where seq ="  # noqa: S608 - no input in it
            f" (select seq from message where {where} order by seq limit 1)",
            {"boot": boot_id(), "now": self._clock.monotonic()},
        )
        if done.rowcount > 0:
            sql.execute("update total set count = count + 1 where is_dead = 2")
        return done.rowcount > 0

    def _remember(self, sql: sqlite3.Connection, message_id: str) -> None:
        most = self._limits.remembered_max
        if not most:
            return
        sql.execute("insert or ignore into sent (id) values (?)", (message_id,))
        sql.execute("delete from sent where n <= (select max(n) from sent) - ?", (most,))

    # The file -----------------------------------------------------------------------------------

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction; once more if the disk is full, after folding back.

        What was committed lies in the write-ahead file until it is folded back into the database.
        That takes room as well, so it is done before the last of it is used up.

        Raises:
            OutboxError: If SQLite or the system could not do it.
        """
        try:
            with self._transaction() as sql:
                need_room(sql, self.path)
                return work(sql)
        except OutboxError as exc:
            if not is_out_of_room(exc.__cause__):
                raise
        self._fold()
        with self._transaction() as sql:
            return work(sql)

    def _fold(self) -> None:
        """Empty the write-ahead file, if the disk and other processes let us."""
        with self._guarded.lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.execute("pragma wal_checkpoint(truncate)")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Do something in one transaction; undone if it raises.

        Raises:
            OutboxError: If SQLite or the system could not do it.
        """
        with self._guarded.lock:
            try:
                if self._connection is None:
                    self._connection = connect(self.path)
                self._connection.execute("begin immediate")
                yield self._connection
                self._connection.execute("commit")
            except BaseException as exc:
                self._undo()
                if isinstance(exc, FAULTS):
                    raise storage_error(exc, self.path) from exc
                raise

    def _undo(self) -> None:
        """Roll back; a connection that cannot even do that is thrown away."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
        except sqlite3.Error:
            self._close()

    def _forget(self) -> None:
        if self._connection is not None:
            self._forgotten.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _total(sql: sqlite3.Connection, *, is_dead: bool) -> tuple[int, int]:
    row = sql.execute("select count, size from total where is_dead = ?", (is_dead,)).fetchone()
    return int(row[0]), int(row[1])


def _message(row: tuple[Any, ...], *, tries: int | None = None) -> Message:
    """Read a row; a damaged body is given as it is, as text."""
    try:
        value = json.loads(row[3])
    except ValueError:
        value = bytes(row[3]).decode(errors="replace")
    return Message(
        id=row[1],
        key=row[2],
        value=value,
        put_at=_EPOCH + timedelta(microseconds=row[5]),
        tries=row[6] if tries is None else tries,
    )
