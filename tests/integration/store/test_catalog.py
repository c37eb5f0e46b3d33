"""The catalog is a cache: gone, damaged or of another version, it is made anew."""

import dataclasses
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storing import contents, made, opened

from resile.errors import StoreDamagedError, StoreError
from resile.store import (
    Repository,
    forget,
    protect,
    take_snapshot,
    verify,
)
from resile.store.backends.local import LocalBackend
from resile.testing import FakeClock


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a text that is pressed together " * 100)
    (folder / "below" / "b").write_bytes(random.Random(1).randbytes(300_000))
    (folder / "below" / "link").symlink_to("b")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(source: Path, place: Path, tmp_path: Path) -> Iterator[Repository]:
    """A store with two snapshots, one of them protected."""
    clock = FakeClock()
    with made(LocalBackend(place), tmp_path / "cache", clock=clock) as store:
        protect(store, take_snapshot(store, source).snapshot)
        clock.advance(60)
        (source / "a").write_bytes(b"another text")
        take_snapshot(store, source)
        yield store


def everything(store: Repository) -> dict[str, dict[bytes, bytes]]:
    return {one.snapshot_id: contents(store, one.root) for one in store.snapshots()}


@pytest.mark.parametrize("how", ["gone", "noise", "half", "old", "zeros", "empty"])
def test_a_damaged_catalog_is_made_anew(
    store: Repository, place: Path, source: Path, tmp_path: Path, how: str
) -> None:
    wanted = everything(store)
    catalog = store.catalog.folder / "catalog.sqlite"
    store.close()
    data = catalog.read_bytes()
    if how == "gone":
        shutil.rmtree(catalog.parent)
    elif how == "old":
        catalog.write_bytes(data[:60] + b"\0\0\0\x63" + data[64:])
    else:
        middle = data[:4096] + bytes(len(data) - 8192) + data[-4096:]
        half = data[: len(data) // 2]
        changed = {"noise": b"x" * 5000, "half": half, "zeros": middle, "empty": b""}
        catalog.write_bytes(changed[how])

    for _ in range(2):
        with opened(place, tmp_path / "cache") as again:
            assert everything(again) == wanted
            assert verify(again, data=True).is_sound
    with opened(place, tmp_path / "cache") as again:
        assert not take_snapshot(again, source).is_changed


def test_noise_anywhere_in_the_catalog_never_gives_a_wrong_answer(
    store: Repository, place: Path, source: Path, tmp_path: Path
) -> None:
    """It is found and thrown away, at the second try at the latest, or does not matter."""
    wanted = everything(store)
    newest = contents(store, store.snapshots()[-1].root)
    catalog = store.catalog.folder / "catalog.sqlite"
    store.close()
    data = catalog.read_bytes()
    chance = random.Random(5)

    for _ in range(25):
        changed = bytearray(data)
        start = chance.randrange(len(changed))
        changed[start : start + 200] = chance.randbytes(len(changed[start : start + 200]))
        catalog.parent.mkdir(exist_ok=True)
        catalog.write_bytes(changed)
        for _ in range(4):
            try:
                with opened(place, tmp_path / "cache") as again:
                    found = everything(again)
                    assert found == {key: wanted[key] for key in found}
                    new = take_snapshot(again, source).snapshot
                    assert contents(again, new.root) == newest
                    assert len(again.snapshots()) == len(wanted) + 1
                    forget(again, [s for s in again.snapshots() if s.snapshot_id not in wanted])
                    break
            except StoreError:
                continue
        else:
            raise AssertionError(f"the catalog never came back: {start}")
        shutil.rmtree(catalog.parent)
    with opened(place, tmp_path / "cache") as again:
        assert verify(again, data=True).is_sound
        assert everything(again) == wanted


def test_a_blob_is_compared_with_its_id_when_it_is_read(store: Repository) -> None:
    """Whatever the catalog says, no other content is given."""
    first, second = (
        next(entry for entry in store.tree(one.root.tree) if entry.chunks)
        for one in store.snapshots()
    )
    place = store.catalog.locate(second.chunks[0])[0]
    frames = dataclasses.replace(place, start=0, length=1)
    store._located = {first.chunks[0]: frames}

    assert store.read_blob(first.chunks[0]).startswith(b"a text")
    with pytest.raises(StoreDamagedError, match="is missing"):
        store.read_blob(bytes(32))
