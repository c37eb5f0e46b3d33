"""Old and new change places at once, and a crash at any step leaves the one or the other."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.passages import let_all_through
from tests.support.restoring import MemoryReader, entry, facts_of, in_child, names_in, wanted_of

from resile.errors import ConfigError, OperationError, RejectedError, StoreDamagedError
from resile.store.model import Entry, EntryType
from resile.store.restore import recover, restore_in_place, stages

STEPS_MAX = 60


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader()


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A folder beside which nothing is but what a test puts there."""
    folder = tmp_path / "home" / "live"
    (folder / "d").mkdir(parents=True)
    (folder / "a").write_text("old a")
    (folder / "d" / "b").write_text("old b")
    (folder / "mine").write_text("mine")
    return folder


def snapshot(reader: MemoryReader) -> Entry:
    folder = reader.folder(b"d", [reader.file(b"b", b"new b"), reader.file(b"c", b"new c")])
    far = reader.folder(b"far", [reader.folder(b"away", [reader.file(b"x", b"new x")])])
    return reader.folder(b"", [reader.file(b"a", b"new a"), folder, far], mode=0o750)


def leftovers(live: Path) -> list[str]:
    return [
        name
        for folder in (live, live.parent)
        for name in names_in(folder)
        if name.startswith(".resile-restore-")
    ]


def test_the_whole_folder_is_exchanged_and_the_old_kept_until_the_end(
    live: Path, reader: MemoryReader
) -> None:
    root = snapshot(reader)

    done = restore_in_place(live, root, reader)

    (stage,) = leftovers(live)
    assert facts_of(live) == wanted_of(root, reader)
    assert (live.parent / stage / "new-0" / "live" / "mine").read_text() == "mine"
    done.finish()
    done.finish()
    assert leftovers(live) == []


def test_undo_brings_the_old_back(live: Path, reader: MemoryReader) -> None:
    before = facts_of(live)

    restore_in_place(live, snapshot(reader), reader).undo()

    assert facts_of(live) == before
    assert leftovers(live) == []


def test_an_exception_undoes_and_the_end_finishes(live: Path, reader: MemoryReader) -> None:
    before = facts_of(live)

    with pytest.raises(KeyError), restore_in_place(live, snapshot(reader), reader):
        raise KeyError

    assert facts_of(live) == before
    with restore_in_place(live, snapshot(reader), reader, paths=[b"a"]):
        pass
    assert (live / "a").read_text() == "new a"
    assert leftovers(live) == []


def test_selected_paths_are_exchanged_and_the_rest_stays(live: Path, reader: MemoryReader) -> None:
    paths = [b"d/b", b"a", b"far/away/x"]

    with restore_in_place(live, snapshot(reader), reader, paths=paths) as done:
        assert names_in(live / "d") == ["b"]

    assert (live / "a").read_text() == "new a"
    assert (live / "d" / "b").read_text() == "new b"
    assert (live / "far" / "away" / "x").read_text() == "new x"
    assert (live / "mine").read_text() == "mine"
    assert done.report.files == 3
    assert leftovers(live) == []


def test_selected_paths_are_undone_together(live: Path, reader: MemoryReader) -> None:
    before = {path: fact[:3] + fact[4:] for path, fact in facts_of(live).items()}
    paths = [b"d/b", b"a", b"far/away/x"]

    restore_in_place(live, snapshot(reader), reader, paths=paths).undo()

    assert {path: fact[:3] + fact[4:] for path, fact in facts_of(live).items()} == before


def test_a_folder_that_is_gone_comes_back(tmp_path: Path, reader: MemoryReader) -> None:
    root = snapshot(reader)

    with restore_in_place(tmp_path / "gone", root, reader):
        pass

    assert facts_of(tmp_path / "gone") == wanted_of(root, reader)
    assert names_in(tmp_path) == ["gone"]


def test_nothing_is_exchanged_if_anything_is_lost(live: Path, reader: MemoryReader) -> None:
    root, before = snapshot(reader), facts_of(live)
    reader.blobs.pop(next(key for key, data in reader.blobs.items() if data == b"new c"))

    with pytest.raises(StoreDamagedError, match="d/c"):
        restore_in_place(live, root, reader)

    assert facts_of(live) == before
    assert leftovers(live) == []


def test_a_selected_file_that_is_lost_is_told_by_its_path(live: Path, reader: MemoryReader) -> None:
    root, before = snapshot(reader), facts_of(live)
    reader.blobs.clear()

    with pytest.raises(StoreDamagedError, match="d/b"):
        restore_in_place(live, root, reader, paths=[b"d/b"])

    assert facts_of(live).keys() == before.keys()


def test_a_link_or_file_in_the_way_is_refused(live: Path, reader: MemoryReader) -> None:
    root = snapshot(reader)
    (live / "far").symlink_to(live / "d")

    with pytest.raises(RejectedError, match="far is no folder now"):
        restore_in_place(live, root, reader, paths=[b"far/away/x"])
    with pytest.raises(RejectedError, match="is no folder now"):
        restore_in_place(live / "far", root, reader)
    with pytest.raises(RejectedError, match="is no folder now"):
        restore_in_place(live / "far", root, reader, paths=[b"a"])

    assert leftovers(live) == []


def test_what_cannot_be_in_place_is_said(tmp_path: Path, reader: MemoryReader) -> None:
    root = snapshot(reader)

    with pytest.raises(RejectedError, match="root of the file system"):
        restore_in_place(Path("/"), root, reader)
    with pytest.raises(ConfigError, match="there is no folder"):
        restore_in_place(tmp_path / "no" / "live", root, reader)
    with pytest.raises(ConfigError, match="there is no folder"):
        restore_in_place(tmp_path / "live", root, reader, paths=[b"a"])


@pytest.mark.parametrize("paths", [(), (b"a", b"d/b", b"far/away/x")])
def test_a_failure_at_any_step_leaves_the_old(
    live: Path, reader: MemoryReader, paths: tuple[bytes, ...]
) -> None:
    root = snapshot(reader)
    before = {path: fact[5] for path, fact in facts_of(live).items()}

    for step in range(1, STEPS_MAX):
        gate = Counter(step, fail)
        try:
            done = restore_in_place(live, root, reader, paths=paths, gate=gate)
            gate.is_restored = True
            done.undo()
        except OperationError:
            if gate.is_restored:
                done.undo()
        else:
            break
        assert all(one.restored == () for one in recover(live))
        assert {path: fact[5] for path, fact in facts_of(live).items()} == before
        assert leftovers(live) == []

    assert 4 < step < STEPS_MAX - 1


@pytest.mark.parametrize("has_exchange", [True, False])
@pytest.mark.parametrize("paths", [(), (b"a", b"d/b", b"far/away/x")])
def test_a_crash_at_any_step_leaves_old_or_new(
    tmp_path: Path,
    reader: MemoryReader,
    paths: tuple[bytes, ...],
    has_exchange: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = snapshot(reader)
    if not has_exchange:
        monkeypatch.setattr(stages, "exchange", refuse)

    def work(live: Path, step: int) -> str:
        restore_in_place(live, root, reader, paths=paths, gate=Counter(step, die)).finish()
        return "done"

    seen: set[tuple[str, ...]] = set()
    for step in range(1, STEPS_MAX):
        live = tmp_path / f"{step}" / "live"
        (live / "d").mkdir(parents=True)
        (live / "a").write_text("old a")
        (live / "d" / "b").write_text("old b")
        answer = in_child(lambda live=live, step=step: work(live, step))
        found = recover(live)
        state = tuple(
            (live / path).read_text() if (live / path).exists() else "old, none"
            for path in ("a", "d/b", "far/away/x")
        )

        assert all(text.startswith(("old", "new")) for text in state)
        assert paths or len({text[:3] for text in state}) == 1
        assert leftovers(live) == []
        assert recover(live) == ()
        seen.add(state)
        if answer == "done":
            assert found == ()
            break
        assert answer == ""
        assert all(one.fault == "" for one in found)
        told = [place for one in found for place in one.restored]
        assert len(told) in (0, 1, 2, 3)

    assert step < STEPS_MAX - 1
    assert ("old a", "old b", "old, none") in seen
    assert ("new a", "new b", "new x") in seen


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_is_there_at_every_moment_without_exchange_too(
    live: Path, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    monkeypatch.setattr(stages, "exchange", refuse)
    if not has_links:
        monkeypatch.setattr("os.link", refuse)
    inode = (live / "a").stat().st_ino
    there: list[bool] = []

    def look(_: str) -> None:
        there.append((live / "a").exists())

    done = restore_in_place(live, snapshot(reader), reader, paths=[b"a"], gate=look)
    assert (live / "a").read_text() == "new a"
    done.undo()

    assert ((live / "a").read_text(), (live / "a").stat().st_ino) == ("old a", inode)
    assert all(there) is has_links
    assert leftovers(live) == []


def test_a_file_and_a_folder_change_places_without_exchange(
    live: Path, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "exchange", refuse)
    before = {path: fact[:3] + fact[4:] for path, fact in facts_of(live).items()}
    turned = reader.folder(
        b"", [reader.folder(b"a", [reader.file(b"x", b"x")]), reader.file(b"d", b"file")]
    )

    done = restore_in_place(live, turned, reader, paths=[b"a", b"d"])
    assert ((live / "a" / "x").read_text(), (live / "d").read_text()) == ("x", "file")
    done.undo()

    assert {path: fact[:3] + fact[4:] for path, fact in facts_of(live).items()} == before


def test_a_restore_that_still_runs_is_left_alone(live: Path, reader: MemoryReader) -> None:
    done = restore_in_place(live, snapshot(reader), reader)

    assert recover(live) == ()
    assert leftovers(live) != []
    done.undo()


def test_recover_tells_what_was_done_and_keeps_what_it_cannot_read(
    live: Path, reader: MemoryReader
) -> None:
    work = Counter(0, die)
    in_child(lambda: restore_in_place(live, snapshot(reader), reader, paths=[b"a"], gate=work))
    (stage,) = leftovers(live)
    record = live / stage / "record.json"
    whole = record.read_bytes()

    for n in range(len(whole)):
        record.write_bytes(whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :])
        (kept,) = recover(live)
        assert "cannot be read" in kept.fault
    record.write_bytes(whole)
    (told,) = recover(live)

    assert (told.restored, told.untouched, told.fault) == (("a",), (), "")
    assert leftovers(live) == []


def test_recover_follows_no_link_and_takes_no_file(live: Path) -> None:
    (live / ".resile-restore-x").symlink_to(live / "d")
    (live / ".resile-restore-y").write_text("mine")

    assert recover(live) == ()
    assert recover(live / "a") == ()
    assert recover(live / "missing") == ()

    assert (live / "d" / "b").exists()
    assert (live / ".resile-restore-y").exists()


def test_a_path_that_this_user_cannot_make_is_not_exchanged(
    live: Path, reader: MemoryReader
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become a plain user")
    root = reader.folder(b"", [entry(b"c", EntryType.CHAR, rdev=os.makedev(1, 3))])
    let_all_through(live.parent)
    for folder in (live, live.parent):
        folder.chmod(0o777)

    def work() -> str:
        with pytest.raises(OperationError, match="c could not be made: a device"):
            restore_in_place(live, root, reader, paths=[b"c"])
        return "done"

    assert in_child(work, uid=65534) == "done"
    assert leftovers(live) == []


class Counter:
    """Does something at the n-th step (1-based)."""

    def __init__(self, at: int, act: Callable[[], Any]) -> None:
        self._at = at
        self._act = act
        self._count = 0
        self.is_restored = False

    def __call__(self, step: str) -> None:
        self._count += 1
        if self._count == self._at:
            self._act()


def fail() -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
