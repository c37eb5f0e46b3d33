"""A store that is damaged, in any way, at any place: found, and mended from whatever is good."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.storing import contents, files_of, flip, flip_in, made, names_in, opened

from resile.errors import StoreError
from resile.store import (
    Origin,
    Repository,
    Rules,
    collect,
    find_path,
    forget,
    mend_format,
    protect,
    read_file,
    repair,
    replicate,
    take_snapshot,
    verify,
    verifying,
)
from resile.store.backends._upload import LocalUpload
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.checking import Checked
from resile.store.format.frames import FRAME_BYTES
from resile.store.repairing import replace_file
from resile.testing import Crash, FakeClock
from resile.testing.disk import FaultyDisk

FLIPS = 100
MEMORY = Path("/dev/shm")
KEY = b"k" * 32


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a text that is pressed together " * 100)
    (folder / "below" / "b").write_bytes(random.Random(1).randbytes(300_000))
    (folder / "below" / "link").symlink_to("b")
    return folder


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory, for the many catalogs of a test that makes them."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


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


@pytest.fixture
def replica(store: Repository, tmp_path: Path) -> LocalBackend:
    backend = LocalBackend(tmp_path / "replica")
    replicate(store, backend)
    return backend


def everything(store: Repository) -> dict[str, dict[bytes, bytes]]:
    return {one.snapshot_id: contents(store, one.root) for one in store.snapshots()}


def pack_with(store: Repository, kind: str) -> Path:
    """Find a pack of files' contents (`data`), or of folders (`tree`)."""
    place = Path(store.backend.url)
    for path in sorted((place / "packs").iterdir()):
        if path.read_bytes()[10] == {"data": 1, "tree": 2}[kind]:
            return path
    raise AssertionError(f"no {kind} pack")


# Found


def test_a_sound_store_has_no_flaw(store: Repository, place: Path) -> None:
    for data in (False, True):
        found = verify(store, data=data)
        assert found.is_sound, found.flaws
        assert found.snapshots == 2
        assert found.files == len(files_of(place)) - 1
    assert found.size_bytes == sum(path.stat().st_size for path in files_of(place)[1:])


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_every_flipped_bit_is_found_and_mended(
    source: Path, quick: Path, key: bytes | None
) -> None:
    """Over all kinds of file; bench/bench_flips.py does it 10,000 times."""
    backend, replica = MemoryBackend(), MemoryBackend()
    with made(backend, quick / "cache", key=key) as store:
        protect(store, take_snapshot(store, source).snapshot)
        replicate(store, replica)
        wanted = everything(store)
    healthy = {name: backend.read(name) for name in names_in(backend)}
    assert {name.partition("/")[0] for name in healthy} == {"format", "packs", "snapshots", "marks"}
    chance = random.Random(7)

    for number in range(FLIPS):
        name = sorted(healthy)[number % len(healthy)]
        bit = chance.randrange(8 * min(len(healthy[name]), 4096))
        flip_in(backend, name, bit)
        where = f"{name} bit {bit}"
        fresh = quick / ("cache" if number % 3 else f"cache{number}")

        mended = mend_format(backend, [replica])
        assert (mended is not None) == (name == "format"), where
        with opened(backend, fresh, key=key) as store:
            if mended is None:
                done = repair(store, replicas=[replica])
                assert not done.before.is_sound, where
                assert done.is_whole, where
            assert {one: backend.read(one) for one in names_in(backend)} == healthy, where
            assert everything(store) == wanted, where


def test_what_others_remove_meanwhile_is_no_flaw(
    store: Repository, place: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot was listed, and forgotten before it was read; what it alone needed went too."""
    check, seen = verifying.check_record, []

    def meanwhile(*args: Any, **more: Any) -> Checked:
        if not seen:
            with opened(place, tmp_path / "elsewhere") as other:
                forget(other, other.snapshots())
                collect(other, grace_s=0)
                take_snapshot(other, source)
        seen.append(check(*args, **more))
        return seen[-1]

    monkeypatch.setattr(verifying, "check_record", meanwhile)

    found = verify(store)

    assert any(one.flaws for one in seen)
    assert found.is_sound, found.flaws
    assert found.snapshots == 1


def test_damage_is_looked_at_once(store: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(pack_with(store, "data"), 8 * 115)
    looks = []
    monkeypatch.setattr(store, "look_again", lambda: looks.append(1))

    assert not verify(store, data=True).is_sound
    assert looks == [1]


@pytest.mark.parametrize("kind", ["data", "tree"])
def test_a_damaged_pack_tells_what_cannot_be_restored(store: Repository, kind: str) -> None:
    path = pack_with(store, kind)
    flip(path, 8 * 115)

    found = verify(store, data=True)

    assert {flaw.name for flaw in found.flaws if flaw.is_of_file} == {f"packs/{path.name}"}
    assert found.affected
    assert verify(store).snapshots == 2


def test_a_blob_that_stands_elsewhere_too_is_not_lost(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    """Two machines stored the same at the same time: one of the packs is enough."""
    with opened(Path(store.backend.url), tmp_path / "other") as other:
        for name in other.catalog.packs():
            other.catalog.drop_pack(name)
        # It does not know of what is there, and stores everything again.
        other.refresh = lambda: None  # type: ignore[method-assign]
        take_snapshot(other, source)
    store.refresh()
    (chunk,) = find_path(store, store.snapshots()[-1].root, b"a").chunks
    places = store.catalog.locate(chunk)
    assert len(places) == 2
    flip(Path(store.backend.url) / places[0].pack, 8 * (places[0].frame.offset + FRAME_BYTES))

    found = verify(store, data=True)

    assert not found.is_sound
    assert found.affected == ()
    assert contents(store, store.snapshots()[-1].root)[b"a"] == b"another text"


def test_a_snapshot_that_says_nonsense_is_a_flaw(store: Repository) -> None:
    from resile.store.format.frames import FileKind

    name = store.put_record("snapshots", FileKind.SNAPSHOT, b'{"version":9}')
    store.refresh()

    assert store.unreadable == (name,)
    assert [flaw.name for flaw in verify(store).flaws] == [name]


def test_a_header_of_any_sort_does_not_stop_the_rest(
    store: Repository, place: Path, tmp_path: Path
) -> None:
    """The version, the kind, the cipher: the store opens, and says which file it is."""
    path = pack_with(store, "data")
    for byte in (0, 8, 10, 11, 12):
        flip(path, 8 * byte)
        with opened(place, tmp_path / f"fresh{byte}") as fresh:
            assert len(fresh.snapshots()) == 2
            for data in (False, True):
                assert f"packs/{path.name}" in {f.name for f in verify(fresh, data=data).flaws}
        flip(path, 8 * byte)


# Mended


def test_what_is_missing_comes_back_from_a_second_store(
    store: Repository, replica: LocalBackend, place: Path, tmp_path: Path
) -> None:
    wanted = everything(store)
    packs = sorted((place / "packs").iterdir())
    for path in packs:
        path.unlink()

    with opened(place, tmp_path / "fresh") as fresh:
        done = repair(fresh, replicas=[MemoryBackend(), replica])

        assert {one.name for one in done.mended} == {f"packs/{path.name}" for path in packs}
        assert done.is_whole
        assert everything(fresh) == wanted


def test_what_is_not_needed_does_not_come_back(
    store: Repository, replica: LocalBackend, place: Path
) -> None:
    """What was forgotten and collected is not missing."""
    forget(store, store.snapshots()[:1])
    collect(store, grace_s=0)
    packs = sorted(path.name for path in (place / "packs").iterdir())

    done = repair(store, replicas=[replica])

    assert done.before.is_sound
    assert sorted(path.name for path in (place / "packs").iterdir()) == packs


def test_live_folders_fill_what_no_store_has(store: Repository, place: Path, source: Path) -> None:
    first, second = store.snapshots()
    (source / "a").write_bytes(b"a text that is pressed together " * 100)
    for path in (place / "packs").iterdir():
        if path.read_bytes()[10] == 1:
            path.unlink()
    store.refresh()

    done = repair(store)

    # The second content of `a` is nowhere any more; all the rest is.
    assert contents(store, first.root)[b"a"].startswith(b"a text")
    assert done.after is not None
    assert {(one.snapshot, one.path) for one in done.after.affected} == {(second.snapshot_id, b"a")}
    assert not done.is_whole


def test_live_folders_are_read_as_their_snapshots_were(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    """What was left out is not stored by a repair, nor is a folder read that lacks nothing."""
    (tmp_path / "other").mkdir()
    take_snapshot(store, tmp_path / "other")
    (source / "big.tmp").write_bytes(b"left out")
    forget(store, [one for one in store.snapshots() if one.source == str(source)])
    rules = Rules(excludes=("*.tmp",))
    wanted = contents(store, take_snapshot(store, source, rules=rules).snapshot.root)
    collect(store, grace_s=0)
    pack_with(store, "data").unlink()
    store.refresh()

    done = repair(store)

    assert done.is_whole
    (live,) = done.live
    assert (live.source, live.excludes) == (str(source), rules.excludes)
    assert contents(store, live.root) == wanted


def test_the_good_part_of_a_damaged_pack_is_kept(store: Repository, source: Path) -> None:
    wanted = everything(store)
    shutil.rmtree(source)
    path = pack_with(store, "data")
    flip(path, 8 * 115)

    done = repair(store)

    assert [one.origin for one in done.mended] == [Origin.STORED_AGAIN]
    assert not done.is_whole
    assert done.after is not None
    lost = {(one.snapshot, one.path) for one in done.after.affected}
    assert len({path for _, path in lost}) == 1, "one frame was damaged, and the others were not"
    for snapshot in store.snapshots():
        for below, content in wanted[snapshot.snapshot_id].items():
            if (snapshot.snapshot_id, below) not in lost:
                entry = find_path(store, snapshot.root, below)
                assert b"".join(read_file(store, entry)) == content or entry.target == content
    assert (Path(store.backend.url) / "quarantine" / f"packs-{path.name}").exists()


def test_a_lost_snapshot_is_told_as_lost(store: Repository, place: Path, tmp_path: Path) -> None:
    """It went to quarantine, and the command said that everything was mended."""
    path = next((place / "snapshots").iterdir())
    flip(path, 900)

    with opened(place, tmp_path / "fresh") as fresh:
        assert fresh.unreadable == (f"snapshots/{path.name}",)
        assert repair(fresh, is_dry=True).mended[0].origin is Origin.NONE
        done = repair(fresh)

    assert not done.is_whole
    assert (place / "quarantine" / f"snapshots-{path.name}").exists()


def test_a_snapshot_comes_back_from_the_catalog(store: Repository, place: Path) -> None:
    path = next((place / "snapshots").iterdir())
    healthy = path.read_bytes()
    flip(path, 900)

    done = repair(store)

    assert [one.origin for one in done.mended] == [Origin.CATALOG]
    assert done.is_whole
    assert path.read_bytes() == healthy


def test_a_dry_run_changes_nothing(store: Repository, replica: LocalBackend, place: Path) -> None:
    flip(pack_with(store, "data"), 8 * 115)
    before = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}

    done = repair(store, replicas=[replica], is_dry=True)

    assert [one.origin for one in done.mended] == [Origin.REPLICA]
    assert done.after is None
    after = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    assert after == before


def test_a_damaged_replica_is_passed_over(
    store: Repository, replica: LocalBackend, tmp_path: Path
) -> None:
    path = pack_with(store, "data")
    flip(path, 8 * 115)
    second = LocalBackend(tmp_path / "second")
    shutil.copytree(replica.url, second.url)
    flip(Path(replica.url) / "packs" / path.name, 8 * 151)

    done = repair(store, replicas=[replica, second])

    assert [(one.origin, one.detail) for one in done.mended] == [(Origin.REPLICA, second.url)]
    assert done.is_whole


class FullBackend(LocalBackend):
    """A store on a disk that is full."""

    def begin(self) -> LocalUpload:
        raise StoreError("no space left on device")


def test_a_full_disk_is_no_reason_to_give_a_pack_up(
    store: Repository, replica: LocalBackend, place: Path, tmp_path: Path
) -> None:
    path = pack_with(store, "data")
    flip(path, 8 * 115)
    with (
        opened(FullBackend(place), tmp_path / "cache") as full,
        pytest.raises(StoreError, match="no space"),
    ):
        repair(full, replicas=[replica])

    assert path.exists()
    assert repair(store, replicas=[replica]).is_whole


def test_a_file_that_is_mended_is_there_at_every_moment(
    store: Repository, replica: LocalBackend, place: Path
) -> None:
    """A reader meets the damaged one or the good one, and a crash leaves one of them."""
    path = pack_with(store, "data")
    name, healthy = f"packs/{path.name}", path.read_bytes()
    for number in range(1, 100):
        flip(path, 8 * 115)
        damaged = path.read_bytes()
        disk = FaultyDisk(crash_at=number)
        try:
            replace_file(LocalBackend(place, disk=disk), name, [healthy])
        except Crash:
            assert path.read_bytes() in (healthy, damaged), f"step {number}"
            assert repair(store, replicas=[replica]).is_whole
            assert path.read_bytes() == healthy, f"step {number}"
        else:
            break
    assert number > 4
    assert (place / "quarantine" / f"packs-{path.name}").read_bytes() == damaged
