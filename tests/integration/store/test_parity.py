"""Parity brings packs back bit for bit, where there is no second store."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.seeds import noise

from resile.errors import StoreError
from resile.store import (
    Origin,
    Repository,
    add_parity,
    collect,
    create,
    forget,
    open_store,
    repair,
    take_snapshot,
    verify,
)
from resile.store.backends.local import LocalBackend
from resile.store.parity import BLOCK_BYTES, GROUP_BLOCKS
from resile.testing import FakeClock

pytest.importorskip("zfec", reason="resile[parity] is not installed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    """A store with one snapshot of 5 MiB, whose source is gone."""
    store = _make(tmp_path, 5 << 20)
    yield store
    store.close()


@pytest.mark.parametrize("key", [None, bytes(range(32))], ids=["open", "encrypted"])
def test_two_blocks_of_a_group_come_back(key: bytes | None, tmp_path: Path) -> None:
    store = _make(tmp_path, (GROUP_BLOCKS + 2) << 20, key)
    add_parity(store)
    pack = _biggest(tmp_path)
    before = pack.read_bytes()
    _flip(pack, 100, 3 * BLOCK_BYTES + 5, (GROUP_BLOCKS + 1) * BLOCK_BYTES)

    done = repair(store)

    assert [one.origin for one in done.mended] == [Origin.PARITY]
    assert done.after is not None
    assert done.after.is_sound
    assert pack.read_bytes() == before
    store.close()


def test_parity_is_not_made_while_packs_are_removed(tmp_path: Path) -> None:
    """A pack that `gc` takes meanwhile would look like one that was lost."""
    _make(tmp_path, 1000).close()
    backend = LocalBackend(tmp_path / "store", clock=FakeClock())
    with contextlib.closing(open_store(backend, cache=tmp_path / "cache")) as store:
        with (
            LocalBackend(tmp_path / "store").hold(is_exclusive=True),
            pytest.raises(StoreError, match="in use by"),
        ):
            add_parity(store)

        assert add_parity(store) > 0


def test_a_cut_or_lost_end_comes_back(store: Repository, tmp_path: Path) -> None:
    add_parity(store)
    pack = _biggest(tmp_path)
    before = pack.read_bytes()
    pack.write_bytes(before[: -BLOCK_BYTES // 2])

    repair(store)

    assert pack.read_bytes() == before


def test_damage_beyond_parity_is_told(store: Repository, tmp_path: Path) -> None:
    add_parity(store)
    _flip(_biggest(tmp_path), *(number * BLOCK_BYTES + 9 for number in range(3)))

    done = repair(store)

    assert Origin.PARITY not in [one.origin for one in done.mended]
    assert done.after is not None
    assert done.after.affected


def test_parity_is_verified_and_made_anew(store: Repository, tmp_path: Path) -> None:
    assert add_parity(store) == 2
    assert add_parity(store) == 0
    _flip(max((tmp_path / "store" / "parity").iterdir(), key=lambda file: file.stat().st_size), 500)
    assert not verify(store, data=True).is_sound

    repair(store)

    assert verify(store, data=True).is_sound
    assert add_parity(store) == 0


def test_parity_goes_with_its_pack(store: Repository, tmp_path: Path) -> None:
    add_parity(store)
    forget(store, store.snapshots())

    collect(store, grace_s=0.0)

    assert not list((tmp_path / "store" / "parity").iterdir())


def test_a_damaged_pack_gets_no_parity(store: Repository, tmp_path: Path) -> None:
    """It would keep the damage for good."""
    _flip(_biggest(tmp_path), 100)

    assert add_parity(store) == 1


def _make(tmp_path: Path, size: int, key: bytes | None = None) -> Repository:
    store = create(LocalBackend(tmp_path / "store"), cache=tmp_path / "cache", key=key)
    source = tmp_path / "source"
    source.mkdir()
    (source / "big").write_bytes(noise(size))
    take_snapshot(store, source)
    shutil.rmtree(source)
    return store


def _biggest(tmp_path: Path) -> Path:
    return max((tmp_path / "store" / "packs").iterdir(), key=lambda file: file.stat().st_size)


def _flip(file: Path, *offsets: int) -> None:
    data = bytearray(file.read_bytes())
    for offset in offsets:
        data[offset] ^= 0x10
    file.write_bytes(data)
