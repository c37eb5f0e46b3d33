"""Databases that SQLite copies: at one moment, and without leaving anything beside them."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.storing import LONG_AGO_NS, contents, made

from resile.store import Repository, sqlite, take_snapshot
from resile.store.backends.memory import MemoryBackend
from resile.testing import FakeClock


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def database(source: Path) -> Path:
    """A database in WAL mode that nobody has open, and that was not touched lately."""
    path = source / "data.db"
    with opened(path) as db:
        db.execute("CREATE TABLE rows (n)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO rows VALUES (?)", [(n,) for n in range(1000)])
        db.execute("COMMIT")
    assert [one.name for one in source.iterdir()] == ["data.db"]
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(MemoryBackend(), tmp_path / "cache") as repository:
        yield repository


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = WAL")
        yield db


def rows_in(fd: int, folder: Path) -> int:
    target = folder / "copied.db"
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        target.write_bytes(file.read())
    with contextlib.closing(sqlite3.connect(target)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = db.execute("SELECT count(*) FROM rows").fetchone()
    return int(count)


def disturbed(
    monkeypatch: pytest.MonkeyPatch, do: Callable[[], object], *, after: bool = True
) -> None:
    """Have something done while a database is copied as if nobody had it open."""
    copy = sqlite._copy

    def meanwhile(url: str, stack: contextlib.ExitStack) -> int:
        if "immutable" in url and not after:
            do()
        fd = copy(url, stack)
        if "immutable" in url and after:
            do()
        return fd

    monkeypatch.setattr(sqlite, "_copy", meanwhile)


def add_row(path: Path) -> None:
    with opened(path) as db:
        db.execute("INSERT INTO rows VALUES (0)")


@pytest.mark.parametrize("after", [True, False])
def test_whoever_writes_meanwhile_is_not_missed(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    disturbed(monkeypatch, lambda: add_row(database), after=after)

    with sqlite.consistent_copy(str(database)) as fd:
        assert rows_in(fd, tmp_path) == 1001


def test_whoever_opens_it_meanwhile_is_not_missed(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:

        def open_and_write() -> None:
            db = stack.enter_context(opened(database))
            db.execute("INSERT INTO rows VALUES (0)")

        disturbed(monkeypatch, open_and_write)
        with sqlite.consistent_copy(str(database)) as fd:
            assert rows_in(fd, tmp_path) == 1001


def test_a_copy_that_was_disturbed_may_look_malformed(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        add_row(database)
        raise sqlite3.DatabaseError("malformed")

    disturbed(monkeypatch, fail)

    with sqlite.consistent_copy(str(database)) as fd:
        assert rows_in(fd, tmp_path) == 1001


def test_what_changes_again_and_again_is_left_to_sqlite(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one tick of the file system's clock its times tell nothing."""
    clock = FakeClock(datetime(2000, 1, 1, tzinfo=UTC))  # All that was written since is recent.
    disturbed(monkeypatch, lambda: pytest.fail("it is copied as if it did not change"))

    with sqlite.consistent_copy(str(database), clock=clock) as fd:
        assert rows_in(fd, tmp_path) == 1000


def test_rows_in_a_log_that_nobody_holds_are_in(
    database: Path, source: Path, tmp_path: Path
) -> None:
    """A process died: its log is still there."""
    with opened(database) as db:
        db.execute("INSERT INTO rows VALUES (0)")
        shutil.copytree(source, tmp_path / "crashed")
    (tmp_path / "crashed" / "data.db-shm").unlink()

    with sqlite.consistent_copy(str(tmp_path / "crashed" / "data.db")) as fd:
        assert rows_in(fd, tmp_path) == 1001


def test_a_database_that_nobody_has_open_gets_no_files_beside_it(
    database: Path, source: Path, store: Repository
) -> None:
    os.utime(database, ns=(LONG_AGO_NS, LONG_AGO_NS))

    for _ in range(2):
        root = take_snapshot(store, source).snapshot.root
        assert [one.name for one in source.iterdir()] == ["data.db"]

    assert set(contents(store, root)) == {b"data.db"}


def test_a_database_that_was_just_closed_is_waited_for(database: Path) -> None:
    add_row(database)
    with sqlite.consistent_copy(str(database)):
        pass

    assert not database.with_name("data.db-shm").exists()
