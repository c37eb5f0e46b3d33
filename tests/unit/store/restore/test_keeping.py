"""What a snapshot leaves out stays in the live folder, wherever a restore in place is cut off."""

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.restoring import MemoryReader, facts_of, in_child, link, names_in, wanted_of

from resile.core.mounts import Mount
from resile.errors import OperationError, RejectedError, StoreDamagedError
from resile.store import Rules
from resile.store.model import Entry
from resile.store.restore import InPlaceRestore, inplace, keeping, recover, restore_in_place, stages

RULES = Rules(excludes=("*.tmp", "cache", "d/only/*"))
KEPT = ("a.tmp", "cache", "d/b.tmp", "d/only/x", "gone/below/c.tmp", "link.tmp")
EFFECTS_MAX = 200


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader()


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return make_live(tmp_path / "home")


def make_live(home: Path) -> Path:
    """Make a folder with things that the rules leave out, and some that they do not."""
    folder = home / "live"
    for name in ("a", "a.tmp", "cache/x/y", "d/b", "d/b.tmp", "d/only/x", "gone/below/c.tmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"old {name}")
    (folder / "link.tmp").symlink_to("d")
    (folder / "gone" / "below").chmod(0o2750)
    return folder


def snapshot(reader: MemoryReader) -> Entry:
    below = [reader.file(b"b", b"new d/b"), reader.folder(b"only")]
    return reader.folder(b"", [reader.file(b"a", b"new a"), reader.folder(b"d", below)])


def inodes(live: Path) -> dict[str, int]:
    return {name: os.lstat(live / name).st_ino for name in KEPT if os.path.lexists(live / name)}


def test_what_is_left_out_stays_the_same_file(live: Path, reader: MemoryReader) -> None:
    root, before = snapshot(reader), inodes(live)
    there = facts_of(live)
    (live / "newer").touch()

    with restore_in_place(live, root, reader, rules=RULES) as done:
        assert done.kept == KEPT

    assert inodes(live) == before
    assert names_in(live) == ["a", "a.tmp", "cache", "d", "gone", "link.tmp"]
    assert (live / "a").read_text() == "new a"
    assert names_in(live.parent) == ["live"]
    found, wanted = facts_of(live), wanted_of(root, reader)
    assert {path: found[path] for path in wanted} == wanted
    for path in found.keys() - wanted.keys():
        assert found[path] == there[path]


def test_without_rules_nothing_is_carried_over(live: Path, reader: MemoryReader) -> None:
    with restore_in_place(live, snapshot(reader), reader) as done:
        assert done.kept == ()

    assert names_in(live) == ["a", "d"]


def test_undo_takes_it_back(live: Path, reader: MemoryReader) -> None:
    before, there = facts_of(live), inodes(live)

    restore_in_place(live, snapshot(reader), reader, rules=RULES).undo()

    assert (facts_of(live), inodes(live)) == (before, there)
    assert names_in(live.parent) == ["live"]


def test_a_folder_that_is_restored_alone_keeps_it_too(live: Path, reader: MemoryReader) -> None:
    before = inodes(live)

    with restore_in_place(live, snapshot(reader), reader, paths=[b"d", b"a"], rules=RULES) as done:
        assert done.kept == ("d/b.tmp", "d/only/x")

    assert inodes(live) == before
    assert (live / "d" / "b").read_text() == "new d/b"


def test_what_the_snapshot_has_all_the_same_is_restored(live: Path, reader: MemoryReader) -> None:
    root = reader.folder(b"", [reader.file(b"a.tmp", b"new"), reader.folder(b"gone")])

    with restore_in_place(live, root, reader, rules=RULES) as done:
        assert "a.tmp" not in done.kept

    assert (live / "a.tmp").read_text() == "new"
    assert (live / "gone" / "below" / "c.tmp").exists()


def test_hidden_folders_are_carried_over_whatever_their_name(
    live: Path, reader: MemoryReader
) -> None:
    (live / ".resile-store").mkdir()
    (live / ".resile-other").mkdir()
    status = (live / ".resile-store").stat()
    rules = Rules(hidden=frozenset({(status.st_dev, status.st_ino)}))

    with restore_in_place(live, snapshot(reader), reader, rules=rules):
        pass

    assert (live / ".resile-store").stat().st_ino == status.st_ino
    assert names_in(live) == [".resile-store", "a", "d"]


@pytest.mark.parametrize("is_link", [False, True])
def test_what_has_no_place_is_refused_before_anything_is_changed(
    live: Path, reader: MemoryReader, *, is_link: bool
) -> None:
    other = link(b"d", b"gone") if is_link else reader.file(b"d", b"a file now")
    before = facts_of(live)

    with pytest.raises(RejectedError, match=r"2 paths .* the first is d/b.tmp: what it is in"):
        restore_in_place(live, reader.folder(b"", [other]), reader, rules=RULES)
    with pytest.raises(RejectedError, match=r"2 paths .* the first is d/b.tmp: what it is in"):
        restore_in_place(live, reader.folder(b"", [other]), reader, paths=[b"d"], rules=RULES)

    assert {k: v[:3] + v[4:] for k, v in facts_of(live).items()} == {
        k: v[:3] + v[4:] for k, v in before.items()
    }
    assert names_in(live.parent) == ["live"]


def test_a_mount_point_below_is_refused_before_anything_is_changed(
    live: Path, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Mount(point=live / "cache" / "x", fs_type="tmpfs", is_read_only=False)
    monkeypatch.setattr(keeping, "read_mounts", lambda: (mount,))
    before = facts_of(live)

    with pytest.raises(RejectedError, match="cache/x is mounted in what would be exchanged"):
        restore_in_place(live, snapshot(reader), reader, rules=RULES)

    assert facts_of(live) == before
    with restore_in_place(live, snapshot(reader), reader, paths=[b"d"], rules=RULES):
        pass


def test_a_folder_that_cannot_be_listed_ends_it(
    live: Path, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds of what is left out is unknown, and would be gone."""
    scandir, before = os.scandir, facts_of(live)

    def refuse_one(folder: Any) -> Any:
        if str(folder).endswith("gone"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse_one)
    with pytest.raises(OperationError, match="Permission denied"):
        restore_in_place(live, snapshot(reader), reader, rules=RULES)
    monkeypatch.undo()

    assert facts_of(live) == before
    assert names_in(live.parent) == ["live"]


def test_too_many_to_note_are_refused(
    live: Path, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "_RECORD_BYTES_MAX", 200)
    before = facts_of(live)

    with pytest.raises(RejectedError, match="leaves out 6 paths of the live folder, too many"):
        restore_in_place(live, snapshot(reader), reader, rules=RULES)

    assert facts_of(live) == before
    assert names_in(live.parent) == ["live"]


@pytest.mark.parametrize("has_exchange", [True, False])
def test_a_failure_at_any_effect_leaves_the_old(
    tmp_path: Path, reader: MemoryReader, *, has_exchange: bool
) -> None:
    live, root = make_live(tmp_path / "home"), snapshot(reader)
    before, there = content_of(live), inodes(live)

    for n in range(1, EFFECTS_MAX):
        effects = Effects(n, fail, has_exchange=has_exchange)
        done = None
        with effects.watched(), suppress(OperationError, StoreDamagedError):
            done = restore_in_place(live, root, reader, rules=RULES)
            done.undo()
        if done is not None:
            undo_again(done)
        recover(live)
        assert (content_of(live), inodes(live)) == (before, there)
        assert names_in(live.parent) == ["live"]
        if effects.count < n:
            break
        shutil.rmtree(live.parent)
        live = make_live(tmp_path / "home")
        there = inodes(live)

    assert 40 < n < EFFECTS_MAX - 1


@pytest.mark.parametrize("has_exchange", [True, False])
def test_killed_before_any_effect_it_is_old_or_new_with_all_that_is_left_out(
    tmp_path: Path, reader: MemoryReader, *, has_exchange: bool
) -> None:
    root = snapshot(reader)
    seen = set()

    for n in range(1, EFFECTS_MAX):
        live = make_live(tmp_path / f"{n}")
        before, there = content_of(live), inodes(live)
        answer = in_child(lambda n=n, live=live: restored(live, root, reader, n, has_exchange))
        (told,) = recover(live) or (None,)
        is_old = content_of(live) == before
        seen.add(is_old)

        assert is_old or content_of(live) == RESTORED
        assert inodes(live) == there
        assert names_in(live.parent) == ["live"]
        assert told is None or told.fault == ""
        if answer == "done":
            break

    assert 40 < n < EFFECTS_MAX - 1
    assert seen == {True, False}


@pytest.mark.parametrize("has_exchange", [True, False])
def test_killed_again_while_it_is_recovered_nothing_is_lost(
    tmp_path: Path, reader: MemoryReader, *, has_exchange: bool
) -> None:
    root = snapshot(reader)

    for n in range(1, EFFECTS_MAX):
        live = make_live(tmp_path / f"{n}")
        there = inodes(live)
        in_child(lambda live=live: restored(live, root, reader, 2, has_exchange, "move"))
        assert inodes(live) != there
        answer = in_child(lambda n=n, live=live: recovered(live, n))
        recover(live)

        assert (content_of(live), inodes(live)) == (RESTORED, there)
        assert names_in(live.parent) == ["live"]
        if answer == "done":
            break

    assert 10 < n < EFFECTS_MAX - 1


def test_what_was_made_anew_meanwhile_is_told_and_both_are_kept(
    live: Path, reader: MemoryReader
) -> None:
    root = snapshot(reader)
    in_child(lambda: restored(live, root, reader, 2, True, "move"))
    (live / "cache").mkdir()

    (told,) = recover(live)

    assert told.fault == "cache was made anew, and the one before it is kept, too"
    assert (told.stage / "new-0" / "live" / "cache" / "x" / "y").read_text() == "old cache/x/y"
    (live / "cache").rmdir()
    (told,) = recover(live)
    assert (told.restored, told.fault) == (("live",), "")
    assert content_of(live) == RESTORED


def test_no_link_is_followed_to_it(live: Path, reader: MemoryReader, tmp_path: Path) -> None:
    """Somebody puts a link where a folder was, before what is in it is moved."""
    root = snapshot(reader)
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "far" / "below" / "c.tmp").write_text("not ours")

    def swap(step: str) -> None:
        if step == "put":
            (live / "gone").rename(live / "aside")
            (live / "gone").symlink_to(tmp_path / "far")

    with pytest.raises(OperationError):
        restore_in_place(live, root, reader, rules=RULES, gate=swap)

    assert (tmp_path / "far" / "below" / "c.tmp").read_text() == "not ours"
    assert (live / "aside" / "below" / "c.tmp").read_text() == "old gone/below/c.tmp"
    assert (live / "a").read_text() == "old a"
    assert (live / "cache" / "x" / "y").exists()


RESTORED = {
    **{f"{name}": f"old {name}" for name in ("a.tmp", "d/b.tmp", "d/only/x", "gone/below/c.tmp")},
    "cache/x/y": "old cache/x/y",
    "a": "new a",
    "d/b": "new d/b",
}


def undo_again(done: InPlaceRestore) -> None:
    try:
        done.undo()
    except OperationError:
        done.finish()  # The old was back, and a part of the new was removed.


def content_of(live: Path) -> dict[str, str]:
    return {
        str(path.relative_to(live)): path.read_text()
        for path in live.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


class Effects:
    """Does something before the n-th effect (1-based), or the n-th of one name."""

    def __init__(
        self, at: int, act: Callable[[], None], *, has_exchange: bool = True, only: str = ""
    ) -> None:
        self._at = at
        self._act = act
        self._only = only
        self._has_exchange = has_exchange
        self.count = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("mkdir", "unlink", "rmdir", "utime", "fsync", "rename", "replace", "link"):
                patch.setattr(os, name, self._before(name, getattr(os, name)))
            exchange = stages.exchange if self._has_exchange else refuse
            patch.setattr(stages, "exchange", self._before("exchange", exchange))
            patch.setattr(stages, "move", self._before("move", stages.move))
            for module in (stages, inplace):
                sync = self._before("sync", module.sync_file_system)
                patch.setattr(module, "sync_file_system", sync)
            yield

    def _before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **more: Any) -> Any:
            if self._only in ("", name):
                self.count += 1
                if self.count == self._at:
                    self._act()
            return call(*args, **more)

        return work


def restored(
    live: Path, root: Entry, reader: MemoryReader, at: int, has_exchange: bool, only: str = ""
) -> str:
    at += 2 * (only == "move" and not has_exchange)  # Old and new are moved first there.
    with Effects(at, die, has_exchange=has_exchange, only=only).watched():
        restore_in_place(live, root, reader, rules=RULES).finish()
    return "done"


def recovered(live: Path, at: int) -> str:
    with Effects(at, die).watched():
        recover(live)
    return "done"


def fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
