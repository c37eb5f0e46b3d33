"""The rows of the local store, each with its authentication code checked before anything is believed of it.

Three things hold them together: a value is sealed to its name, number and store; a code for each name
covers all that is said of its versions (stage, time, token, wrapped key), so that none of them can be changed, moved,
added or taken away; and the code in the head covers the codes of all names. What cannot be seen from within is
an older copy of the whole file.
"""

import hmac
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from resile.core.vocabulary import SecretStage
from resile.errors import SecretDamagedError
from resile.secrets.model import Version
from resile.secrets.providers.local_file import damaged
from resile.secrets.providers.local_seals import Part, Seals, checksum
from resile.secrets.providers.stages import Shelf

STORE_ID_BYTES = 16
_ROWS = (
    "select number, stage, created_at, token, sealed_key from versions"
    " where name = ? order by number desc"
)
_Row = tuple[int, str, str, str, bytes | None]
_Names = dict[str, tuple[int, bytes]]
"""Of each name, its highest number and its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a store says of itself.

    Args:
        store_id: Random; makes its keys its own.
        salt: What a passphrase is mixed with; empty if the master key is a key.
        key_check: Tells the right master key.
        mac: The code over the head and the codes of all names.
    """

    store_id: bytes
    salt: bytes
    key_check: bytes
    mac: bytes = b""


def read_head(sql: sqlite3.Connection, path: Path) -> Head | None:
    """Read the head; None if the store has none yet.

    Raises:
        SecretDamagedError: If it is damaged, or was taken from a store that has secrets.
    """
    row = sql.execute("select store_id, salt, key_check, checksum, mac from head").fetchone()
    if row is None:
        if count_names(sql):
            raise damaged(path, "the head is gone")
        return None
    head = Head(store_id=row[0], salt=row[1], key_check=row[2], mac=row[4])
    if checksum(head.store_id, head.salt, head.key_check) != row[3]:
        raise damaged(path, "the head is damaged")
    return head


def count_names(sql: sqlite3.Connection) -> int:
    """Count the secrets, before anything of them is checked."""
    (count,) = sql.execute("select count(*) from names").fetchone()
    return int(count)


def begin_store(sql: sqlite3.Connection, store_id: bytes, salt: bytes, seals: Seals) -> None:
    """Write the head of a store without secrets, in the place of another one without any."""
    _write_head(sql, Head(store_id=store_id, salt=salt, key_check=seals.check), {}, seals)


class Rows:
    """One moment of the store, whose head was found right. Lives as long as its transaction.

    Args:
        sql: The transaction.
        head: Of the store.
        seals: Of the store.
        path: For errors.

    Raises:
        SecretDamagedError: If a name was added, taken away or exchanged.
    """

    def __init__(self, sql: sqlite3.Connection, head: Head, seals: Seals, path: Path) -> None:
        self._sql = sql
        self._seals = seals
        self._path = path
        self._names: _Names = {
            name: (last, mac)
            for name, last, mac in sql.execute("select name, last, mac from names")
        }
        self.head = head
        self.has_destroyed = False
        """Whether a value was taken away, which may linger in the write-ahead file."""
        for name in self._names:
            _need_text(name, path)
        if not hmac.compare_digest(head.mac, _head_mac(head, self._names, seals)):
            raise damaged(
                path, "a secret was added, removed or exchanged by somebody without the key"
            )

    def names(self) -> tuple[str, ...]:
        """Give the names that have a version, sorted."""
        return tuple(sorted(name for name in self._names if self.shelf(name).versions))

    def verify(self) -> None:
        """Look at all that is kept, and open each value.

        Raises:
            SecretDamagedError: If anything of it is not what was put in.
        """
        written = self._sql.execute("select distinct name from versions")
        for name in {name for (name,) in written} | set(self._names):
            _need_text(name, self._path)
            for version in self.shelf(name).versions:
                if version.stage is not SecretStage.RETIRED:
                    self.value(name, version)

    def shelf(self, name: str) -> Shelf:
        """Give what there is of a name.

        Raises:
            SecretDamagedError: If it is not what was written.
        """
        known = self._names.get(name)
        rows: list[_Row] = self._sql.execute(_ROWS, (name,)).fetchall()
        if known is None:
            if rows:
                raise damaged(self._path, f"versions of {name!r} were added without the key")
            return Shelf(name=name)
        if not hmac.compare_digest(known[1], _name_mac(name, known[0], rows, self._seals)):
            raise damaged(self._path, f"what is kept of {name!r} is not what was written")
        return Shelf(name=name, last=known[0], versions=tuple(map(_version, rows)))

    def value(self, name: str, version: Version) -> bytes:
        """Open the value of a version that is not retired.

        Raises:
            SecretDamagedError: If it is not what was put in.
        """
        number = int(version.number)
        row = self._sql.execute(
            "select sealed_key, sealed_value from versions where name = ? and number = ?",
            (name, number),
        ).fetchone()
        try:
            return self._seals.open(self._seals.place(name, number), *(row or (None, None)))
        except SecretDamagedError as exc:
            what = f"the value of version {number} of {name!r} is not what was put in"
            raise damaged(self._path, what) from exc

    def save(self, before: Shelf, after: Shelf, value: bytes = b"") -> None:
        """Write what changed between two states of a name. `value` is that of the version that is new."""
        if after == before:
            return
        known = {one.number: one for one in before.versions}
        for one in after.versions:
            old = known.pop(one.number, None)
            if old is None:
                self._insert(after.name, one, value)
            elif old != one:
                self._update(after.name, one)
                self.has_destroyed |= one.stage is SecretStage.RETIRED
        for one in known.values():
            self._delete(after.name, one)
            self.has_destroyed |= one.stage is not SecretStage.RETIRED
        self._sql.execute(
            "insert into names values (?, ?, x'')"
            " on conflict (name) do update set last = excluded.last",
            (after.name, after.last),
        )
        self._write_name(after.name, after.last, self._seals)
        _write_head(self._sql, self.head, self._names, self._seals)

    def reseal(self, seals: Seals, salt: bytes) -> int:
        """Wrap all keys with another master key; give how many versions have one.

        Raises:
            SecretDamagedError: If anything is not what was written; then nothing may be committed.
        """
        count = 0
        for name, (last, _) in list(self._names.items()):
            for one in self.shelf(name).versions:
                count += self._rewrap(name, int(one.number), seals)
            self._write_name(name, last, seals)
        head = Head(store_id=self.head.store_id, salt=salt, key_check=seals.check)
        _write_head(self._sql, head, self._names, seals)
        self.head, self._seals, self.has_destroyed = head, seals, True
        return count

    def _insert(self, name: str, version: Version, value: bytes) -> None:
        number = int(version.number)
        sealed = self._seals.seal(self._seals.place(name, number), value)
        at = version.created_at.isoformat() if version.created_at else ""
        self._sql.execute(
            "insert into versions values (?, ?, ?, ?, ?, ?, ?)",
            (name, number, version.stage.value, at, version.token, *sealed),
        )

    def _update(self, name: str, version: Version) -> None:
        where = (name, int(version.number))
        self._sql.execute(
            "update versions set stage = ?, token = ? where name = ? and number = ?",
            (version.stage.value, version.token, *where),
        )
        if version.stage is SecretStage.RETIRED:
            self._sql.execute(
                "update versions set sealed_key = null, sealed_value = null"
                " where name = ? and number = ?",
                where,
            )

    def _delete(self, name: str, version: Version) -> None:
        where = (name, int(version.number))
        self._sql.execute("delete from versions where name = ? and number = ?", where)

    def _rewrap(self, name: str, number: int, seals: Seals) -> int:
        where = (name, number)
        (sealed_key,) = self._sql.execute(
            "select sealed_key from versions where name = ? and number = ?", where
        ).fetchone()
        if sealed_key is None:
            return 0
        wrapped = self._seals.rewrap(self._seals.place(name, number), sealed_key, seals)
        self._sql.execute(
            "update versions set sealed_key = ? where name = ? and number = ?", (wrapped, *where)
        )
        return 1

    def _write_name(self, name: str, last: int, seals: Seals) -> None:
        mac = _name_mac(name, last, self._sql.execute(_ROWS, (name,)), seals)
        self._sql.execute("update names set mac = ? where name = ?", (mac, name))
        self._names[name] = (last, mac)


def _write_head(sql: sqlite3.Connection, head: Head, names: _Names, seals: Seals) -> None:
    parts = (head.store_id, head.salt, head.key_check)
    sql.execute(
        "insert or replace into head values (1, ?, ?, ?, ?, ?)",
        (*parts, checksum(*parts), _head_mac(head, names, seals)),
    )


def _head_mac(head: Head, names: _Names, seals: Seals) -> bytes:
    parts: list[Part] = ["head", head.store_id, head.salt, head.key_check]
    for name in sorted(names):
        parts += (name, *names[name])
    return seals.mac(*parts)


def _name_mac(name: str, last: int, rows: Iterable[_Row], seals: Seals) -> bytes:
    parts: list[Part] = ["name", name, last]
    for row in rows:
        parts += row
    return seals.mac(*parts)


def _need_text(name: object, path: Path) -> None:
    """Refuse what a damaged page may have in the place of a name."""
    if not isinstance(name, str):
        raise damaged(path, "a name is no text")


def _version(row: _Row) -> Version:
    number, stage, created_at, token, _ = row
    return Version(
        number=str(number),
        stage=SecretStage(stage),
        created_at=datetime.fromisoformat(created_at) if created_at else None,
        token=token,
    )
