"""Whatever is changed in the file by somebody without the master key is seen, and never believed."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.secret_providers import local_provider, passphrase_provider

from resile.core.vocabulary import SecretStage
from resile.errors import (
    SecretDamagedError,
    SecretError,
    SecretKeyError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.providers.local import LocalProvider

FILE_FLIPS = 400
PAGE = 4096
FACTS = {
    ("db/password", "current"): b"third value",
    ("db/password", "previous"): b"second value",
    ("db/password", "pending"): b"fourth value",
    ("key", "current"): b"a key",
}
KEYS = {"head": "one", "names": "name", "versions": "rowid"}
COLUMNS = (
    *(("head", column) for column in ("store_id", "key_check", "checksum", "mac")),
    *(("names", column) for column in ("name", "last", "mac")),
    *(("versions", column) for column in ("name", "number", "stage", "created_at", "token")),
    *(("versions", column) for column in ("sealed_key", "sealed_value")),
)


@pytest.fixture
def store(place: Path) -> Path:
    """A store with four versions that have a value and one that has none, closed."""
    with closing(local_provider(place)) as provider:
        fill(provider)
    return place


def fill(provider: LocalProvider) -> None:
    for number, value in enumerate((b"first value", b"second value", b"third value")):
        provider.write("db/password", value, token=f"token {number}")
    provider.write("db/password", b"fourth value", stage=SecretStage.PENDING, token="candidate")
    provider.write("key", b"a key", token="another")


def change(store: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Change rows as somebody does who has the file and no key."""
    with closing(sqlite3.connect(store / "secrets.db", isolation_level=None)) as sql:
        for statement, values in statements:
            sql.execute(statement, values)


def answers(provider: LocalProvider) -> dict[str, object]:
    """Ask for all; give the class of the error where there is one."""

    def answer(use: Callable[[], object]) -> object:
        try:
            return use()
        except SecretError as exc:
            return type(exc) if exc.hint else "no hint"

    uses: dict[str, Callable[[], object]] = {
        f"{name} {version}": lambda name=name, version=version: provider.read(
            name, version=version
        ).reveal_bytes()
        for name, version in (*FACTS, ("db/password", "1"), ("new", "current"))
    }
    uses["names"] = provider.names
    uses["history"] = lambda: provider.history("db/password")
    uses["check"] = provider.check
    uses["examine"] = lambda: bool(provider.examine())
    return {what: answer(use) for what, use in uses.items()}


def answers_of(store: Path) -> dict[str, object]:
    with closing(local_provider(store)) as provider:
        return answers(provider)


def test_an_untouched_store_tells_the_truth(store: Path) -> None:
    found = answers_of(store)

    assert {key: found[" ".join(key)] for key in FACTS} == FACTS
    assert found["db/password 1"] is SecretRevokedError
    assert found["new current"] is UnknownSecretError
    assert found["names"] == ("db/password", "key")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_flip_in_any_byte_of_any_row_is_seen(store: Path, table: str, column: str) -> None:
    with closing(local_provider(store)) as provider:
        truth = answers(provider)
        for where, before in cells(store, table, column):
            for after in flips(before):
                if not overwrite(store, table, column, where, after):
                    continue

                found = answers(provider)

                assert all(got in (truth[what], SecretDamagedError) for what, got in found.items())
                assert found["examine"] is SecretDamagedError
                overwrite(store, table, column, where, before)
        assert answers(provider) == truth


def cells(store: Path, table: str, column: str) -> list[tuple[tuple[object, ...], object]]:
    """Give what a column holds, and where."""
    key = "name || '/' || number" if table == "versions" else KEYS[table]
    with closing(sqlite3.connect(store / "secrets.db")) as sql:
        rows = sql.execute(f"select {key}, {column} from {table}").fetchall()
    return [((where,), value) for where, value in rows if value is not None]


def flips(value: object) -> Iterator[object]:
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(8))
        return
    data = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    for at in range(len(data)):
        flipped = data[:at] + bytes((data[at] ^ (1 << at % 8),)) + data[at + 1 :]
        yield flipped if isinstance(value, bytes) else flipped.decode("latin-1")


def overwrite(
    store: Path, table: str, column: str, where: tuple[object, ...], value: object
) -> bool:
    """Put a value into a cell, also into that of a row that a flip has moved; False if SQL refuses."""
    key = "name || '/' || number" if table == "versions" else KEYS[table]
    with closing(sqlite3.connect(store / "secrets.db", isolation_level=None)) as sql:
        found = sql.execute(f"select count(*) from {table} where {key} = ?", where).fetchone()
        if found == (0,):
            # The flip was in the key itself: of all rows it is the one that was not there before.
            sql.execute(f"update {table} set {column} = ? where {key} = ?", (value, *_MOVED.pop()))
            return True
        try:
            sql.execute(f"update {table} set {column} = ? where {key} = ?", (value, *where))
        except sqlite3.IntegrityError:
            return False
        if sql.execute(f"select count(*) from {table} where {key} = ?", where).fetchone() == (0,):
            name, _, number = str(where[0]).rpartition("/") if table == "versions" else where * 3
            moved = {"name": f"{value}/{number}", "number": f"{name}/{value}"}
            _MOVED.append((moved[column] if table == "versions" else value,))
        return True


_MOVED: list[tuple[object, ...]] = []

HARMS: dict[str, tuple[tuple[str, tuple[object, ...]], ...]] = {
    "the newest version is taken away": (
        ("delete from versions where name = 'db/password' and number = 4", ()),
    ),
    "the current version is taken away, and the one before it put in its place": (
        ("delete from versions where name = 'db/password' and number = 3", ()),
        ("update versions set stage = 'current' where name = 'db/password' and number = 2", ()),
    ),
    "a candidate is made current": (
        ("update versions set stage = 'retired' where number = 3", ()),
        ("update versions set stage = 'current' where number = 4", ()),
    ),
    "a stage is exchanged": (
        ("update versions set stage = 'x' where number = 3", ()),
        ("update versions set stage = 'current' where number = 2 and name = 'db/password'", ()),
        ("update versions set stage = 'previous' where number = 3", ()),
    ),
    "a whole name is taken away": (
        ("delete from versions where name = 'key'", ()),
        ("delete from names where name = 'key'", ()),
    ),
    "all names are taken away": (("delete from versions", ()), ("delete from names", ())),
    "the head is taken away": (("delete from head", ()),),
    "a name is given to another secret": (
        ("update versions set name = 'x' where name = 'key'", ()),
        ("update names set name = 'x' where name = 'key'", ()),
    ),
    "a version is given another number": (
        ("update versions set number = 9 where number = 4", ()),
        ("update names set last = 9 where name = 'db/password'", ()),
    ),
    "a version is copied to a name that was not there": (
        (
            """insert into versions select 'new', 1, stage, created_at, token, sealed_key,
            sealed_value from versions where name = 'key'""",
            (),
        ),
    ),
    "the time is another": (("update versions set created_at = '2031-01-01T00:00:00+00:00'", ()),),
    "the token is another": (("update versions set token = 'another' where number = 4", ()),),
}


@pytest.mark.parametrize("what", HARMS)
def test_rows_that_were_moved_added_or_taken_away_are_seen(store: Path, what: str) -> None:
    truth = answers_of(store)
    change(store, *HARMS[what])

    try:
        found = answers_of(store)
    except SecretDamagedError:
        return

    assert found["examine"] is SecretDamagedError
    assert all(got in (truth[key], SecretDamagedError) for key, got in found.items())


@pytest.mark.parametrize("columns", ["sealed_value", "sealed_key, sealed_value", "sealed_key"])
def test_values_that_changed_places_open_nowhere(store: Path, columns: str) -> None:
    """The two rows exchange what is sealed."""
    names = columns.split(", ")
    pick = f"select {columns} from versions where name = ? and number = ?"
    with closing(sqlite3.connect(store / "secrets.db", isolation_level=None)) as sql:
        places = (("db/password", 3), ("key", 1))
        one, two = (sql.execute(pick, where).fetchone() for where in places)
        for values, where in ((two, places[0]), (one, places[1])):
            sets = ", ".join(f"{name} = ?" for name in names)
            sql.execute(f"update versions set {sets} where name = ? and number = ?", values + where)

    found = answers_of(store)

    assert found["db/password current"] is found["key current"] is SecretDamagedError


def test_a_retired_version_cannot_be_brought_back(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("a", b"old", token="1")
        with closing(sqlite3.connect(place / "secrets.db")) as sql:
            old = sql.execute("select stage, sealed_key, sealed_value from versions").fetchone()
        provider.destroy("a", "1")

        statement = "update versions set stage = ?, sealed_key = ?, sealed_value = ?"
        change(place, (statement, old))

        with pytest.raises(SecretDamagedError):
            provider.read("a")


def test_an_older_state_of_one_name_is_seen(place: Path) -> None:
    """All its rows and its code are right; the head knows better."""
    with closing(local_provider(place)) as provider:
        provider.write("a", b"old", token="1")
        with closing(sqlite3.connect(place / "secrets.db")) as sql:
            versions = sql.execute("select * from versions").fetchall()
            names = sql.execute("select * from names").fetchall()
        provider.write("a", b"new", token="2")

        change(
            place,
            ("delete from versions", ()),
            ("delete from names", ()),
            *(("insert into versions values (?, ?, ?, ?, ?, ?, ?)", row) for row in versions),
            *(("insert into names values (?, ?, ?)", row) for row in names),
        )

        with pytest.raises(SecretDamagedError):
            provider.read("a")


def test_rows_of_another_store_with_the_same_key_do_not_fit(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("a", b"one", token="1")
    other = place / "other"
    other.mkdir(mode=0o700)
    shutil.copy2(place / "master.key", other)
    with closing(local_provider(other)) as provider:
        provider.write("a", b"two", token="1")
    with closing(sqlite3.connect(other / "secrets.db")) as sql:
        (row,) = sql.execute("select sealed_key, sealed_value from versions").fetchall()
    change(place, ("update versions set sealed_key = ?, sealed_value = ?", row))

    with closing(local_provider(place)) as provider, pytest.raises(SecretDamagedError):
        provider.read("a")


def test_a_damaged_store_is_not_written_to(store: Path) -> None:
    change(store, ("update versions set token = 'x' where number = 4", ()))
    with closing(local_provider(store)) as provider:
        for use in (
            lambda: provider.write("db/password", b"new", token="new"),
            lambda: provider.promote("db/password", token="candidate", expect=None),
            lambda: provider.discard("db/password", token="x"),
            lambda: provider.destroy("db/password", "3"),
            provider.rekey,
        ):
            with pytest.raises(SecretDamagedError):
                use()
        assert provider.read("key").reveal_bytes() == b"a key"


def test_a_flip_anywhere_in_the_file_never_gives_a_wrong_value(store: Path) -> None:
    chance = random.Random(11)
    truth, whole = answers_of(store), (store / "secrets.db").read_bytes()

    for _ in range(FILE_FLIPS):
        at = chance.randrange(len(whole))
        data = whole[:at] + bytes((whole[at] ^ (1 << chance.randrange(8)),)) + whole[at + 1 :]
        assert is_true_or_refused(store, data, truth), at


def test_a_file_that_was_cut_never_gives_a_wrong_value(store: Path) -> None:
    truth, whole = answers_of(store), (store / "secrets.db").read_bytes()

    for length in (1, 50, 99, 100, *range(512, len(whole), 512), len(whole) - 1):
        assert is_true_or_refused(store, whole[:length], truth), length


def is_true_or_refused(store: Path, data: bytes, truth: dict[str, object]) -> bool:
    """Tell whether a store with this file tells the truth, or says that it cannot."""
    for suffix in ("-wal", "-shm"):
        (store / f"secrets.db{suffix}").unlink(missing_ok=True)
    (store / "secrets.db").write_bytes(data)
    found: dict[str, object] = {}
    with suppress(SecretError):
        found = answers_of(store)
    errors = {SecretDamagedError, SecretError}
    return all(got in (truth[what], *errors) for what, got in found.items())


def test_a_file_that_is_something_else_is_refused(place: Path) -> None:
    (place / "secrets.db").write_bytes(b"to be or not to be" * 500)
    with pytest.raises(SecretDamagedError):
        local_provider(place)

    (place / "secrets.db").unlink()
    with closing(sqlite3.connect(place / "secrets.db")) as sql:
        sql.execute("create table plays (name text)")
    with pytest.raises(SecretError, match="something else"):
        local_provider(place)


def test_a_file_of_a_version_to_come_is_refused(store: Path) -> None:
    change(store, ("pragma user_version = 2", ()))

    with pytest.raises(SecretError, match="format version 2"):
        local_provider(store)


def test_a_store_whose_file_is_gone_has_nothing_and_says_so(store: Path) -> None:
    """With its key it begins anew: nobody can tell that there was one, but whoever misses a secret."""
    (store / "secrets.db").unlink()

    with closing(local_provider(store)) as provider:
        assert provider.names() == ()


def test_a_changed_salt_is_damage_and_no_wrong_passphrase(place: Path) -> None:
    with closing(passphrase_provider(place)) as provider:
        fill(provider)
    change(place, ("update head set salt = x'00112233445566778899aabbccddeeff'", ()))

    with pytest.raises(SecretDamagedError):
        passphrase_provider(place)


def test_a_head_that_was_forged_whole_opens_nothing(store: Path) -> None:
    """Who makes a head for a key of his own cannot make the old values open with it."""
    other = store / "other"
    other.mkdir(mode=0o700)
    local_provider(other).close()
    with closing(sqlite3.connect(other / "secrets.db")) as sql:
        (head,) = sql.execute("select * from head").fetchall()
    change(store, ("insert or replace into head values (?, ?, ?, ?, ?, ?)", head))
    with pytest.raises(SecretKeyError):
        local_provider(store)

    shutil.copy2(other / "master.key", store / "master.key")
    with pytest.raises(SecretDamagedError):
        local_provider(store)
