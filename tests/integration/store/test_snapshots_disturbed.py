"""Snapshots of what cannot be read, or changes or goes while it is read."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.passages import let_all_through
from tests.support.restoring import as_nobody
from tests.support.storing import contents, made, paths_in

from resile.errors import ConfigError
from resile.store import (
    Repository,
    Rules,
    take_snapshot,
    verify,
    walk,
)
from resile.store.backends.memory import MemoryBackend
from resile.store.ingest import Ingest
from resile.store.reading import SMALL_BYTES, ReadInPart, read_entry
from resile.testing import FakeClock


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 100)
    (folder / "below" / "b").write_bytes(b"b" * 100)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(MemoryBackend(), tmp_path / "cache") as repository:
        yield repository


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Repository]:
    """A store whose clock is years ahead: no file looks as if it had just changed."""
    with made(MemoryBackend(), tmp_path / "late", clock=FakeClock()) as repository:
        yield repository


def test_unreadable_things_are_listed_and_the_rest_is_kept(tmp_path: Path) -> None:
    """As a plain user, whom permissions bind."""
    let_all_through(tmp_path)
    tmp_path.chmod(0o777)

    def work() -> str:
        source = tmp_path / "source"
        for name in ("good", "closed", "listed", "empty"):
            (source / name).mkdir(parents=True)
            (source / name / "f").write_bytes(b"f")
        (source / "secret").write_bytes(b"s")
        (source / "secret").chmod(0)
        (source / "closed").chmod(0)
        (source / "listed").chmod(0o444)
        with made(MemoryBackend(), tmp_path / "cache", clock=FakeClock()) as store:
            found = []
            for _ in range(2):
                taken = take_snapshot(store, source)
                found += [one.path for one in taken.snapshot.unread]
                found += sorted(map(os.fsdecode, paths_in(store, taken.snapshot.root)))
            (source / "secret").chmod(0o600)
            taken = take_snapshot(store, source)
            found.append(contents(store, taken.snapshot.root)[b"secret"].decode())
        return " ".join(found)

    once = "closed listed secret empty empty/f good good/f"
    assert sorted(as_nobody(work).split()) == sorted(f"{once} {once} s".split())


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_source_that_cannot_be_read_is_told_as_such(tmp_path: Path, mode: int) -> None:
    let_all_through(tmp_path)
    tmp_path.chmod(0o777)

    def work() -> str:
        source = tmp_path / "source"
        source.mkdir()
        (source / "f").touch()
        source.chmod(mode)
        with made(MemoryBackend(), tmp_path / "cache") as store:
            try:
                take_snapshot(store, source)
            except ConfigError as exc:
                return exc.message
        return "taken"

    assert "cannot be read" in as_nobody(work)


def test_what_is_no_folder_is_refused(store: Repository, source: Path) -> None:
    for path in (source / "a", source / "nowhere"):
        with pytest.raises(ConfigError, match="cannot be read as a folder"):
            take_snapshot(store, path)
    assert store.snapshots() == []


def test_a_file_that_could_not_be_read_is_tried_again_by_a_partial_look(
    late: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = source / "below" / "b"
    real = os.open

    def failing_open(path: object, *more: object, **options: object) -> int:
        if path == "b":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *more, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("resile.store.reading.os.open", failing_open)
        first = take_snapshot(late, source)
        second = take_snapshot(late, source, changed=frozenset())

    third = take_snapshot(late, source, changed=frozenset())

    for taken in (first, second):
        assert [one.path for one in taken.snapshot.unread] == ["below/b"]
    assert third.snapshot.unread == ()
    assert contents(late, third.snapshot.root)[b"below/b"] == failing.read_bytes()


# What changes while it is read


class Changing:
    """Stores pieces, and does something to a file each time."""

    def __init__(self, store: Repository, change: object) -> None:
        self.data: dict[bytes, bytes] = {}
        self.calls = 0
        self._keys = store.keys
        self._change = change

    def put(self, data: bytes) -> bytes:
        self.calls += 1
        self._change(self.calls)  # type: ignore[operator]
        blob_id = self._keys.blob_id(data)
        self.data[blob_id] = data
        return blob_id


def read_while(store: Repository, path: Path, change: object) -> tuple[object, bytes]:
    """Read a file that changes meanwhile; give its entry and the content that was stored."""
    folder_fd = os.open(path.parent, os.O_RDONLY)
    putting = Changing(store, change)
    try:
        entry = read_entry(folder_fd, path.name, path.lstat().st_mode, putting.put)
    except ReadInPart as exc:
        entry = exc.entry
        state = "changed"
    else:
        state = "still"
    finally:
        os.close(folder_fd)
    assert entry is not None
    data = b"".join(putting.data[chunk] for chunk in entry.chunks)
    expected = entry.size if entry.extents is None else sum(n for _, n in entry.extents)
    assert len(data) == expected, "what is stored is what the entry says"
    assert all(offset + length <= entry.size for offset, length in entry.extents or ())
    return state, data


def test_a_file_that_changes_once_is_read_once_more(store: Repository, source: Path) -> None:
    path = source / "a"

    def change(call: int) -> None:
        if call == 1:
            path.write_bytes(b"new" * 100)

    assert read_while(store, path, change) == ("still", b"new" * 100)


@pytest.mark.parametrize("size", [100, 3 * SMALL_BYTES], ids=["small", "big"])
@pytest.mark.parametrize("how", ["grows", "shrinks"])
def test_a_file_that_keeps_changing_is_kept_as_it_came(
    store: Repository, source: Path, size: int, how: str
) -> None:
    path = source / "a"
    path.write_bytes(os.urandom(size))

    def change(call: int) -> None:
        os.truncate(path, path.stat().st_size + (10 if how == "grows" else -20))

    state, _ = read_while(store, path, change)

    assert state == "changed"


def test_a_file_with_holes_that_is_cut_while_it_is_read_stays_readable(
    store: Repository, source: Path
) -> None:
    """Its folder could not be read any more when its extents went beyond its size."""
    path = source / "holes"
    with path.open("wb") as file:
        for start in (0, 4 << 20, 8 << 20):
            file.seek(start)
            file.write(os.urandom(2 << 20))
        file.truncate(16 << 20)

    def change(call: int) -> None:
        os.truncate(path, (5 << 20) + call)

    assert read_while(store, path, change)[0] == "changed"


def test_a_changing_file_is_in_the_snapshot_and_told(
    late: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source / "a"
    real = Ingest.claim

    def claim(self: Ingest, blob_id: bytes) -> bool:
        with path.open("ab") as file:
            file.write(b"+")
        return real(self, blob_id)

    with monkeypatch.context() as patch:
        patch.setattr(Ingest, "claim", claim)
        taken = take_snapshot(late, source)

    assert [one.path for one in taken.snapshot.unread] == ["a"]
    assert "changed while it was read" in taken.snapshot.unread[0].reason
    assert contents(late, taken.snapshot.root)[b"a"].startswith(b"a" * 100)
    assert verify(late, data=True).is_sound
    again = take_snapshot(late, source).snapshot
    assert again.unread == ()
    assert contents(late, again.root)[b"a"] == path.read_bytes()


def test_files_and_folders_may_vanish_at_any_time(
    late: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = walk.scan

    def scan(fd: int, folder: str, rules: Rules) -> object:
        rows = real(fd, folder, rules)
        if folder == "":
            (source / "a").unlink()
            (source / "below" / "b").unlink()
            (source / "below").rmdir()
        return rows

    with monkeypatch.context() as patch:
        patch.setattr("resile.store.snapshot.scan", scan)
        taken = take_snapshot(late, source)

    assert paths_in(late, taken.snapshot.root) == set()
    assert taken.snapshot.unread == ()
    assert verify(late).is_sound


def test_a_name_that_becomes_something_else_is_not_followed(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    path = source / "a"
    mode = path.lstat().st_mode
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    fd = os.open(source, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            read_entry(fd, "a", mode, lambda data: b"")
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(OSError, match="something else"):
            read_entry(fd, "a", mode, lambda data: b"")
    finally:
        os.close(fd)
