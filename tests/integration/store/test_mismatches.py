"""Live files whose content changed below the file system: found, and brought back."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.rotting import pretend_untouched, rot
from tests.support.storing import LONG_AGO_NS, flip, made

from resile.core.clock import SYSTEM_CLOCK
from resile.errors import StoreDamagedError
from resile.store import LiveCheck, Repository, take_snapshot
from resile.store.backends.local import LocalBackend

BIG_BYTES = 5 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "small").write_bytes(b"small")
    (folder / "below/big").write_bytes(os.urandom(BIG_BYTES))
    with (folder / "below/sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(BIG_BYTES)
        file.write(b"end")
    with sqlite3.connect(folder / "data.db") as db:
        db.execute("CREATE TABLE t (a)")
        db.executemany("INSERT INTO t VALUES (?)", [(os.urandom(100),) for _ in range(3000)])
    db.close()
    for path in folder.rglob("*"):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return folder


@pytest.fixture
def store(tmp_path: Path, source: Path) -> Iterator[Repository]:
    with made(LocalBackend(tmp_path / "place"), tmp_path / "cache") as repository:
        take_snapshot(repository, source)
        for path in source.rglob("*"):
            pretend_untouched(repository, source, path)
        yield repository


def check(store: Repository, source: Path) -> LiveCheck:
    return LiveCheck(store, source, lock=threading.Lock())


def found(store: Repository, source: Path) -> list[bytes]:
    return [look.path for look in check(store, source).looks() if look.mismatch]


def test_what_is_as_it_was_is_read_and_found_right(store: Repository, source: Path) -> None:
    looks = list(check(store, source).looks())

    assert {look.path for look in looks if look.is_done} == {
        b"small",
        b"data.db",
        b"below/big",
        b"below/sparse",
    }
    assert not any(look.mismatch for look in looks)
    assert sum(look.size_bytes for look in looks) > BIG_BYTES


@pytest.mark.parametrize("name", ["small", "below/big", "below/sparse", "data.db"])
def test_rot_is_found_and_brought_back(store: Repository, source: Path, name: str) -> None:
    path = source / name
    before = path.read_bytes()
    rot(store, source, path, (path.stat().st_size - 2) * 8)

    assert found(store, source) == [os.fsencode(name)]
    assert check(store, source).is_mismatched(os.fsencode(name))
    check(store, source).bring_back(os.fsencode(name))

    if name == "data.db":
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT count(*) FROM t").fetchone() == (3000,)
        db.close()
    else:
        assert path.read_bytes() == before
    assert found(store, source) == []


def test_file_that_somebody_wrote_is_none_of_it(store: Repository, source: Path) -> None:
    flip(source / "small", 0)

    assert found(store, source) == []
    assert not check(store, source).is_mismatched(b"small")


def test_database_with_a_log_that_moved_on_is_none_of_it(store: Repository, source: Path) -> None:
    """The file itself is untouched while its writers' pages stand in the log."""
    (source / "data.db-wal").write_bytes(b"")

    rot(store, source, source / "data.db", 80_000)

    assert found(store, source) == []


def test_missing_files_and_folders_are_none_of_it(store: Repository, source: Path) -> None:
    (source / "small").unlink()
    (source / "below").rename(source / "other")

    assert found(store, source) == []


def test_content_that_the_store_lost_changes_nothing(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    rot(store, source, source / "small", 0)
    for pack in (tmp_path / "place" / "packs").iterdir():
        flip(pack, 90 * 8)
    before = (source / "small").read_bytes()

    with pytest.raises(StoreDamagedError):
        check(store, source).bring_back(b"small")

    assert (source / "small").read_bytes() == before


def test_nothing_known_is_nothing_found(tmp_path: Path, source: Path) -> None:
    with made(
        LocalBackend(tmp_path / "place"), tmp_path / "cache", clock=SYSTEM_CLOCK
    ) as repository:
        assert found(repository, source) == []
