"""A snapshot that looks only where something changed is the same as one that looks everywhere."""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.store import Repository, create, scouting, take_snapshot, verify
from resile.store.backends.memory import MemoryBackend
from resile.store.catalog import FolderRow
from resile.store.walk import EVERYTHING, scan
from resile.testing import FakeClock

STEPS = 25
ROW = FolderRow(digest=b"", tree=b"", files=0, bytes=0)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Repository, Repository]]:
    """Two stores of the same folder, with catalogs of their own."""
    stores = [create(MemoryBackend(), cache=tmp_path / f"cache{i}") for i in range(2)]
    yield stores[0], stores[1]
    for store in stores:
        store.close()


@pytest.mark.parametrize("seed", range(2))
def test_partial_and_whole_looks_agree(
    pair: tuple[Repository, Repository], tmp_path: Path, seed: int
) -> None:
    partial, whole = pair
    chance = random.Random(seed)
    source = tmp_path / "source"
    for i in range(12):
        folder = source / f"d{i}" / f"e{i % 3}"
        folder.mkdir(parents=True)
        for j in range(3):
            (folder / f"f{j}").write_text(f"{i} {j}")
    take_snapshot(partial, source)

    for _ in range(STEPS):
        changed = set().union(*(_change(source, chance) for _ in range(chance.randint(0, 4))))
        one = take_snapshot(partial, source, changed=frozenset(changed)).snapshot
        other = take_snapshot(whole, source).snapshot

        assert one.root.tree == other.root.tree, changed
        counts, wanted = one.counts, other.counts
        assert (counts.files, counts.folders, counts.bytes) == (
            wanted.files,
            wanted.folders,
            wanted.bytes,
        ), changed
    assert verify(partial, data=True).is_sound


LINKS: dict[str, Callable[[Path], object]] = {
    "write": lambda folder: (folder / "file").write_text("another"),
    "write and remove": lambda folder: _write_and_remove(folder / "file"),
    "link": lambda folder: (folder / "link").hardlink_to(folder.with_name("alone") / "file"),
}


@pytest.mark.parametrize("name", LINKS)
def test_what_changes_by_one_of_its_names_is_seen_by_all(tmp_path: Path, name: str) -> None:
    # To whom nothing is so young that it is looked at again in any case.
    clock = FakeClock(SYSTEM_CLOCK.now() + timedelta(days=1))
    partial, whole = (
        create(MemoryBackend(), cache=tmp_path / f"cache{i}", clock=clock) for i in range(2)
    )
    source = tmp_path / "source"
    for folder in ("told", "untold", "alone"):
        (source / folder).mkdir(parents=True)
    (source / "told/file").write_text("old")
    (source / "alone/file").write_text("old")
    (source / "untold/file").hardlink_to(source / "told/file")
    take_snapshot(partial, source)

    LINKS[name](source / "told")
    one = take_snapshot(partial, source, changed=frozenset({b"told"})).snapshot

    other = take_snapshot(whole, source).snapshot
    assert one.root.tree == other.root.tree
    assert (one.counts.files, one.counts.bytes) == (other.counts.files, other.counts.bytes)
    assert verify(partial, data=True).is_sound
    for store in (partial, whole):
        store.close()


def _write_and_remove(path: Path) -> None:
    path.write_text("another")
    path.unlink()


def test_scouts_find_what_changed(
    pair: tuple[Repository, Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes tell which folders changed, as somebody who watched would."""
    scouted, whole = pair
    chance = random.Random(7)
    source = tmp_path / "source"
    for i in range(8):
        (source / f"d{i}" / "e").mkdir(parents=True)
        (source / f"d{i}" / "e" / "file").write_text(str(i))
    take_snapshot(scouted, source)

    for _ in range(10):
        for _ in range(chance.randint(0, 4)):
            _change(source, chance)
        monkeypatch.setattr(scouting, "ENTRIES_MIN", 0)
        one = take_snapshot(scouted, source).snapshot
        monkeypatch.undo()
        other = take_snapshot(whole, source).snapshot

        assert one.root.tree == other.root.tree
        assert one.counts.files == other.counts.files
    assert verify(scouted, data=True).is_sound


def test_scout_that_dies_leaves_the_whole_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    fd = os.open(tmp_path, os.O_RDONLY)

    found = scouting.find_changed(fd, {b"": ROW}, EVERYTHING)

    os.close(fd)
    assert found is None


def test_scout_is_not_led_away_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "source" / "folder").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    fd = os.open(tmp_path / "source", os.O_RDONLY)
    elsewhere = os.open(tmp_path / "elsewhere", os.O_RDONLY)
    digests = {b"folder": scan(elsewhere, "folder", EVERYTHING).digest}
    (tmp_path / "source" / "folder").rmdir()
    (tmp_path / "source" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "new").write_text("x")

    assert scouting.changed_among(fd, digests, EVERYTHING) == set()

    os.close(fd)
    os.close(elsewhere)


def test_what_nobody_saw_is_not_looked_at(tmp_path: Path) -> None:
    """Otherwise a look would not be O(changes)."""
    # Long after the files were made: what is young is always looked at.
    store = create(MemoryBackend(), cache=tmp_path / "cache", clock=FakeClock())
    source = tmp_path / "source"
    (source / "seen").mkdir(parents=True)
    (source / "unseen" / "deep").mkdir(parents=True)
    before = take_snapshot(store, source).snapshot
    (source / "unseen" / "deep" / "new").write_text("x")

    after = take_snapshot(store, source, changed=frozenset({b"seen"})).snapshot

    assert after.root.tree == before.root.tree
    store.close()


def test_forgotten_snapshot_is_not_relied_on(
    pair: tuple[Repository, Repository], tmp_path: Path
) -> None:
    """What is remembered belongs to a snapshot: without it, its blobs may be gone."""
    store, _ = pair
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    first = take_snapshot(store, source).snapshot
    store.backend.remove(f"snapshots/{first.snapshot_id}")
    for pack in store.catalog.packs():
        store.backend.remove(pack)
    store.refresh()

    take_snapshot(store, source, changed=frozenset())

    assert verify(store, data=True).is_sound


def _change(source: Path, chance: random.Random) -> set[bytes]:
    """Change something; tell the folders in which somebody who watches would see it."""
    folders = [Path(folder) for folder, _, _ in os.walk(source)]
    folder = chance.choice(folders)
    files = [entry for entry in sorted(folder.iterdir()) if entry.is_file()]
    what = chance.choice(["new", "write", "remove", "make", "move", "unlink"])
    name = f"n{chance.random()}"
    if what == "new":
        (folder / name).write_text(name)
    elif what == "write" and files:
        chance.choice(files).write_text(name)
    elif what == "unlink" and files:
        chance.choice(files).unlink()
    elif what == "make":
        (folder / name / "below").mkdir(parents=True)
        (folder / name / "below" / "file").write_text(name)
    elif what == "remove" and folder != source:
        shutil.rmtree(folder)
        return {_relative(source, folder.parent)}
    elif what == "move" and folder != source:
        target = chance.choice(folders)
        if not target.is_relative_to(folder):
            folder.rename(target / name)
            return {_relative(source, folder.parent), _relative(source, target)}
    return {_relative(source, folder)}


def _relative(source: Path, folder: Path) -> bytes:
    return b"" if folder == source else os.fsencode(folder.relative_to(source))
