"""Files that are read by processes: all that they are, each content once, and nothing lost where one fails."""

import os
import random
import resource
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storing import made, restored_differences

from resile.errors import OperationError, StoreError
from resile.store import Repository, take_snapshot, verify
from resile.store import readers as reading
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.claims import EMPTY, SLOTS, Claims, shared_table
from resile.store.far import FarReader
from resile.store.ingest import Ingest
from resile.store.readers import Batch, Readers

KEY = b"k" * 32
COPIES, COPIED_BYTES = 60, 50_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache", key=KEY) as store:
        yield store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    chance = random.Random(3)
    copied = chance.randbytes(COPIED_BYTES)
    for i in range(COPIES):
        folder = tmp_path / "source" / f"{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_bytes(b"%d" % i * chance.randrange(3000))
        (folder / f"copy of {i}").write_bytes(copied)
    folder = tmp_path / "source" / "0"
    (folder / "big").write_bytes(chance.randbytes(3 << 20))
    (folder / "link").symlink_to("big")
    (folder / "second name").hardlink_to(folder / "big")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"no utf-8 \xff")).write_bytes(b"x")
    (folder / "holes").write_bytes(b"y")
    os.truncate(folder / "holes", 5 << 20)
    os.setxattr(folder / "big", "user.kept", b"\0\xff")
    with sqlite3.connect(folder / "data.db") as database:
        database.execute("CREATE TABLE kept (number INTEGER)")
    database.close()
    return tmp_path / "source"


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processes read."""
    monkeypatch.setattr(reading, "MANY_ROWS", 0)
    monkeypatch.setattr(Readers, "_read_here", lambda self: None)


@pytest.mark.usefixtures("far")
def test_what_processes_read_comes_back_as_it_was(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    taken = take_snapshot(store, source)

    assert not taken.snapshot.unread
    assert restored_differences(store, taken.snapshot.root, source, tmp_path / "back") == []
    assert verify(store, data=True).is_sound
    assert not take_snapshot(store, source).is_changed
    assert not any((tmp_path / "store" / "tmp").iterdir())


@pytest.mark.usefixtures("far")
def test_processes_store_a_content_once(store: Repository, source: Path) -> None:
    taken = take_snapshot(store, source)
    again = take_snapshot(store, source.rename(source.with_name("moved")))

    # Both may meet it in the same microsecond, at its very first copy.
    assert taken.snapshot.counts.new_bytes < (3 << 20) + COPIES * 10_000 + 2 * COPIED_BYTES
    assert taken.snapshot.counts.stored_bytes > 3 << 20
    assert again.why.new > COPIES
    assert again.snapshot.counts.new_bytes == 0


@pytest.mark.usefixtures("far")
def test_no_snapshot_comes_of_it_if_a_process_is_killed(
    store: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FarReader.read

    def die(self: FarReader, batch: Batch) -> None:
        os.kill(self._worker.pid, signal.SIGKILL)
        read(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(FarReader, "read", die)
        with pytest.raises(OperationError, match="ended by signal 9") as failure:
            take_snapshot(store, source)

    assert failure.value.is_transient
    assert store.snapshots() == []
    assert not take_snapshot(store, source).snapshot.unread
    assert verify(store, data=True).is_sound


@pytest.mark.usefixtures("far")
def test_what_a_disk_says_to_a_process_is_told(
    store: Repository, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FarReader.read

    def limited(self: FarReader, batch: Batch) -> None:
        resource.prlimit(self._worker.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        read(self, batch)

    monkeypatch.setattr(FarReader, "read", limited)

    with pytest.raises(StoreError, match="File too large"):
        take_snapshot(store, source)

    assert store.snapshots() == []
    assert not any((tmp_path / "store" / "tmp").iterdir())


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_threads_read_where_no_process_can(
    place: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY_ROWS", 0)
    if place == "disk":
        monkeypatch.setattr("sys.executable", "/bin/false")
    backend = MemoryBackend() if place == "memory" else LocalBackend(tmp_path / "store")
    with made(backend, tmp_path / "cache") as store:
        taken = take_snapshot(store, source)

        assert not taken.snapshot.unread
        assert verify(store, data=True).is_sound


def test_a_fault_of_ours_in_a_process_is_told(
    store: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY_ROWS", 0)
    monkeypatch.setattr("resile.store.far.__name__", "resile.store.nowhere")

    with pytest.raises(AssertionError, match=r"No module named 'resile\.store\.nowhere'"):
        take_snapshot(store, source)


def test_a_process_reads_the_folder_that_was_looked_at(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    store.backend.begin().abandon()
    folder_fd = os.open(source / "1", os.O_RDONLY)
    source.rename(tmp_path / "moved")
    (source / "1").mkdir(parents=True)
    (source / "1" / "1.txt").write_bytes(b"another")
    with shared_table() as table_fd:
        reader = FarReader(Ingest(store, claims=Claims(table_fd)))
        batch = Batch(folder_fd=folder_fd, path="1", rows=[("1.txt", 0o100644), ("gone", 0o100644)])
        try:
            reader.read(batch)
        finally:
            reader.abandon()
            os.close(folder_fd)

    assert list(batch.entries) == ["1.txt"]
    assert batch.entries["1.txt"]["size"] == (tmp_path / "moved" / "1" / "1.txt").stat().st_size
    assert batch.unread == []


def test_claims_are_seen_by_whoever_has_the_table() -> None:
    one, other = b"\1" + bytes(31), b"\1" + bytes(30) + b"\2"
    far_from_it = (SLOTS - 1).to_bytes(4, "little") + bytes(28)
    with shared_table() as table_fd:
        here, there = Claims(table_fd), Claims(table_fd)

        assert here.take(one) == EMPTY
        assert there.take(one) == one
        assert there.take(far_from_it) == EMPTY
        assert there.take(other) == one
        assert here.take(one) == other
        assert Claims().take(one) == EMPTY
