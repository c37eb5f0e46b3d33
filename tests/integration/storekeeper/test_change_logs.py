"""The logs of folders begin with their snapshots, and are trimmed with them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storing import made

from resile.core.clock import SYSTEM_CLOCK
from resile.daemon.storekeeper.model import FolderPlan
from resile.daemon.storekeeper.places import Folder
from resile.daemon.storekeeper.snapshots import Snapshots
from resile.daemon.storekeeper.telling import Teller
from resile.store import Keep, Snapshot, open_log
from resile.store.backends.memory import MemoryBackend
from resile.store.changes.places import find_place
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal


class Bench:
    """One folder whose snapshots are taken; only the newest two are kept."""

    def __init__(self, root: Path) -> None:
        self.source, self.state = root / "source", root / "state"
        self.source.mkdir()
        self.state.mkdir()
        self.clock = FakeClock(SYSTEM_CLOCK.now())
        self.store = None
        self.snapshots = Snapshots(
            self.state, tell=Teller(MemoryJournal(), clock=self.clock), clock=self.clock
        )

    def take(self, *, is_logged: bool = True) -> Snapshot:
        plan = FolderPlan(
            name="kb", source=self.source, every_s=60, keep=Keep(last=2), is_logged=is_logged
        )
        folder = Folder(plan, hidden=frozenset())
        self.clock.advance(60)
        taken = self.snapshots.take(folder, self.store)
        self.snapshots.forget(folder, self.store)
        return taken.snapshot


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with made(MemoryBackend(), tmp_path / "cache", clock=bench.clock) as bench.store:
        yield bench


def test_log_that_cannot_be_begun_hinders_no_snapshot(bench: Bench) -> None:
    (bench.state / "changes").write_text("no folder")

    bench.take()

    assert len(bench.store.snapshots()) == 1


def test_log_that_cannot_be_trimmed_hinders_no_snapshot(bench: Bench) -> None:
    bench.take()
    place = find_place(bench.state, bench.source)
    with open_log(bench.state, bench.source):
        pass
    (place.log / "lock").unlink()
    (place.log / "lock").mkdir()

    bench.take()

    assert len(bench.store.snapshots()) == 2


def test_log_begins_before_the_first_snapshot_and_is_trimmed_with_them(bench: Bench) -> None:
    first = bench.take()
    place = find_place(bench.state, bench.source)
    assert place.began_at <= first.started_at
    with open_log(bench.state, bench.source, clock=bench.clock) as log, log.begin() as one:
        one.create("big", os.urandom(100_000))
    bench.take()
    assert list(place.blobs.iterdir())

    bench.take()
    bench.take()

    assert list(place.blobs.iterdir()) == []


def test_folder_has_no_log_where_none_is_wanted(bench: Bench) -> None:
    bench.take()
    bench.take(is_logged=False)

    assert find_place(bench.state, bench.source) is None
