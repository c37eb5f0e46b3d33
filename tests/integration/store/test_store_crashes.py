"""A crash, a power cut or a failing disk between any two effects: nothing acknowledged is lost."""

import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.storing import contents, flip, made, opened

from resile.errors import StoreError
from resile.store import (
    Repository,
    collect,
    forget,
    protect,
    repair,
    replicate,
    take_snapshot,
    verify,
)
from resile.store.backends.disk import SYSTEM_DISK, Disk
from resile.store.backends.local import LocalBackend
from resile.testing import Crash, FakeClock
from resile.testing.disk import FaultyDisk

MEMORY = Path("/dev/shm")
# A reader's thread dies with its process; that it does so loudly is the test's own doing.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

Contents = dict[str, dict[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is before: a store with two snapshots, its catalog, its source and a replica."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def replica(self) -> Path:
        return self.folder / "replica"

    def open(
        self, disk: Disk | None = None, *, cache: str = "cache"
    ) -> AbstractContextManager[Repository]:
        backend = LocalBackend(self.store, disk=disk or SYSTEM_DISK)
        return opened(backend, self.folder / cache, clock=FakeClock())

    def everything(self, *, cache: str = "cache") -> Contents:
        """Read all that is in the store; it must be sound."""
        with self.open(cache=cache) as store:
            found = verify(store, data=True)
            assert found.is_sound, found.flaws
            return {one.snapshot_id: contents(store, one.root) for one in store.snapshots()}


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        root = Path(folder)
        source = root / "template" / "source"
        (source / "below").mkdir(parents=True)
        (source / "a").write_bytes(b"first" * 50)
        (source / "below" / "b").write_bytes(os.urandom(3000))
        clock = FakeClock()
        cache = root / "template" / "cache"
        with made(LocalBackend(root / "template" / "store"), cache, clock=clock) as store:
            for text in (b"second", b"third"):
                take_snapshot(store, source)
                (source / "a").write_bytes(text * 50)
                clock.advance(60)
            replicate(store, LocalBackend(root / "template" / "replica"))
        yield root


@pytest.fixture
def scenes(template: Path) -> Callable[[], Scene]:
    """Give the same scene again and again, each time as it was."""

    def again() -> Scene:
        shutil.rmtree(template / "scene", ignore_errors=True)
        shutil.copytree(template / "template", template / "scene", symlinks=True)
        return Scene(folder=template / "scene")

    return again


# What is done. Each may be done again after it was cut.


def snapshot(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        take_snapshot(store, scene.source)


def forget_one(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        if len(store.snapshots()) > 1:
            forget(store, store.snapshots()[:1])


def collect_garbage(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        collect(store, grace_s=0)


def protect_all(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        for one in store.snapshots():
            protect(store, one)


def copy_back(scene: Scene, disk: FaultyDisk | None) -> None:
    """Replicate into the store on the faulty disk; the replica is the first store here."""
    with opened(scene.replica, scene.folder / "other") as store:
        target = LocalBackend(scene.store, disk=disk or SYSTEM_DISK)
        replicate(store, target, is_pruned=True)


def mend(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        assert repair(store, replicas=[LocalBackend(scene.replica)]).is_whole


def mend_alone(scene: Scene, disk: FaultyDisk | None) -> None:
    with scene.open(disk) as store:
        repair(store)


def nothing(scene: Scene) -> None:
    pass


def forget_before(scene: Scene) -> None:
    forget_one(scene, None)


def half_copy(scene: Scene) -> None:
    """The target lacks a snapshot and a pack, and has one that the source has no more."""
    with opened(scene.replica, scene.folder / "other") as store:
        forget(store, store.snapshots()[:1])
        collect(store, grace_s=0)
        take_snapshot(store, scene.source)


def damage(scene: Scene) -> None:
    flip(min((scene.store / "packs").iterdir()), 8 * 150)
    flip(min((scene.store / "snapshots").iterdir()), 900)
    max((scene.store / "packs").iterdir()).unlink()


def damage_one(scene: Scene) -> None:
    """A snapshot, of which the catalog has a copy; nobody else has one."""
    flip(min((scene.store / "snapshots").iterdir()), 900)


Action = Callable[[Scene, FaultyDisk | None], None]
ACTIONS: dict[str, tuple[Callable[[Scene], None], Action, int]] = {
    "snapshot": (nothing, snapshot, 2),
    "forget": (nothing, forget_one, 1),
    "gc": (forget_before, collect_garbage, 1),
    "protect": (nothing, protect_all, 2),
    "replicate": (half_copy, copy_back, 1),
    "repair": (damage, mend, 2),
    "repair alone": (damage_one, mend_alone, 2),
}
"""What was there before, what is done, and how many of the first snapshots must stay."""


STRIDES = {"replicate": 3, "repair": 3}
"""Of the failures of those that copy many files in the same way, each third is tried."""


def kept_before(scene: Scene, count: int) -> Contents:
    """Give the snapshots that must be there whatever happens, the newest of the first two."""
    with opened(scene.replica, scene.folder / "reading") as store:
        found = store.snapshots()[-count:]
        return {one.snapshot_id: contents(store, one.root) for one in found}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_crash_between_any_two_effects_loses_nothing(
    scenes: Callable[[], Scene], name: str
) -> None:
    prepare, act, count = ACTIONS[name]
    for number in itertools.count(1):
        scene = scenes()
        must_stay = kept_before(scene, count)
        prepare(scene)
        disk = FaultyDisk(crash_at=number)
        try:
            act(scene, disk)
        except Crash:
            pass
        else:
            break
        if number % 3:
            disk.power_cut()
        if name not in ("repair", "repair alone"):
            found = scene.everything(cache="fresh" if number % 2 else "cache")
            assert must_stay.items() <= found.items(), f"step {number}"

        act(scene, None)

        found = scene.everything()
        assert must_stay.items() <= found.items(), f"step {number}, done again"
        assert list((scene.store / "tmp").glob("*")) == [] or name != "gc"
    assert number > 2


def failure(act: Action, scene: Scene, disk: FaultyDisk) -> StoreError | None:
    try:
        act(scene, disk)
    except StoreError as exc:
        return exc
    return None


@pytest.mark.parametrize("name", ACTIONS)
def test_a_disk_that_fails_at_any_step_is_told_and_loses_nothing(
    scenes: Callable[[], Scene], name: str
) -> None:
    prepare, act, count = ACTIONS[name]
    failed = 0
    for number in itertools.count(1, STRIDES.get(name, 1)):
        scene = scenes()
        must_stay = kept_before(scene, count)
        prepare(scene)
        code = errno.EIO if number % 2 else errno.ENOSPC
        disk = FaultyDisk(fail_at=number, error=OSError(code, os.strerror(code)))
        error = failure(act, scene, disk)
        if error is not None:
            failed += 1
            assert os.strerror(code) in error.message
            assert error.hint
        if number > len(disk.steps):
            break
        if name not in ("repair", "repair alone"):
            found = scene.everything(cache="fresh" if number % 3 else "cache")
            assert must_stay.items() <= found.items(), f"step {number}"

        act(scene, None)

        assert must_stay.items() <= scene.everything().items(), f"step {number}, done again"
    assert failed


def test_a_lying_disk_is_found_out(scenes: Callable[[], Scene]) -> None:
    """A write that is claimed and not done: the snapshot is not acknowledged."""
    for number in itertools.count(1):
        scene = scenes()
        disk = FaultyDisk(lie_at=number)
        try:
            snapshot(scene, disk)
        except StoreError:
            pass
        else:
            assert len(disk.steps) < number or disk.steps[number - 1] != "write"
        assert len(scene.everything()) >= 2
        if number > len(disk.steps):
            break
