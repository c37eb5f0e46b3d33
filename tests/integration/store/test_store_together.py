"""Several writers and collectors on one store: threads, processes, machines with their own catalogs."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.storing import contents, made, opened

from resile.errors import StoreDamagedError
from resile.store import Collected, Repository, collect, forget, take_snapshot, verify
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.ingest import Ingest
from resile.testing import FakeClock

WRITER = """
import sys
from pathlib import Path
from resile.store import collect, open_backend, open_store, take_snapshot
place, cache, source, what = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    store = open_store(open_backend(place), cache=Path(cache))
    if what == "write":
        take_snapshot(store, Path(source))
    else:
        collect(store, grace_s=0)
    store.close()
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Two folders that have a half in common."""
    folders = []
    for number in range(2):
        folder = tmp_path / f"source{number}"
        (folder / "below").mkdir(parents=True)
        for i in range(40):
            (folder / "below" / f"{i}").write_bytes(b"%d" % (i + 20 * number) * 5000)
        folders.append(folder)
    return folders


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache"):
        pass
    return tmp_path / "store"


def run_together(actions: list[Callable[[], object]]) -> None:
    failures: list[BaseException] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as exc:  # noqa: BLE001 - the test raises it
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if failures:
        raise failures[0]


def content_of(source: Path) -> dict[bytes, bytes]:
    return {
        bytes(path.relative_to(source)): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file()
    }


def assert_sound(store: Repository, sources: list[Path], count: int) -> None:
    assert verify(store, data=True).is_sound
    assert len(store.snapshots()) == count
    for one in store.snapshots():
        (source,) = [s for s in sources if str(s) == one.source]
        assert contents(store, one.root) == content_of(source)


def test_threads_share_one_repository(place: Path, sources: list[Path], tmp_path: Path) -> None:
    with opened(place, tmp_path / "cache") as store:
        run_together(
            [lambda source=s: take_snapshot(store, source) for s in sources for _ in range(2)]  # type: ignore[misc]
        )

        assert_sound(store, sources, 4)


@pytest.mark.parametrize("is_shared", [True, False], ids=["one catalog", "two catalogs"])
def test_processes_write_and_collect_at_once(
    place: Path, sources: list[Path], tmp_path: Path, is_shared: bool
) -> None:
    jobs = [(s, "write") for s in sources] + [(sources[0], "collect") for _ in range(2)]
    children = []
    for number, (source, what) in enumerate(jobs):
        cache = tmp_path / ("cache" if is_shared else f"cache{number}")
        words = [sys.executable, "-c", WRITER, *map(str, (place, cache, source)), what]
        children.append(
            subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"\n")
            child.stdin.flush()
        for child in children:
            _, errors = child.communicate(timeout=40)
            assert (child.returncode, errors) == (0, b"")
    finally:
        for child in children:
            child.kill()
            child.communicate()

    with opened(place, tmp_path / "fresh") as store:
        assert_sound(store, sources, 6)


def test_two_writers_of_the_same_store_it_once(
    place: Path, sources: list[Path], tmp_path: Path
) -> None:
    """The second knows what the first has published."""
    with (
        opened(place, tmp_path / "one") as one,
        opened(place, tmp_path / "two") as two,
    ):
        take_snapshot(one, sources[0])
        assert take_snapshot(two, sources[0]).snapshot.counts.new_bytes == 0


# A bucket holds nobody: there, marks and the grace time protect.


def test_a_snapshot_that_runs_while_packs_are_marked_keeps_them(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before the mark, and relies on what was marked meanwhile."""
    clock = FakeClock()
    backend = Bucket(clock)
    with (
        made(backend, tmp_path / "one", clock=clock) as one,
        opened(backend, tmp_path / "two", clock=clock) as two,
    ):
        forget(one, [take_snapshot(one, sources[0]).snapshot])
        real = Ingest.claim
        done: list[Collected] = []

        def claim(self: Ingest, blob_id: bytes) -> bool:
            if not done:
                done.append(collect(two, grace_s=3600))
            return real(self, blob_id)

        with monkeypatch.context() as patch:
            patch.setattr(Ingest, "claim", claim)
            taken = take_snapshot(one, sources[0])
        assert done[0].doomed > 0
        assert taken.snapshot.counts.new_bytes == 0

        clock.advance(3601)
        second = collect(two, grace_s=3600)

        assert second.removed == 0
        assert second.spared > 0
        assert_sound(two, sources, 1)


def test_a_snapshot_relies_on_nothing_that_is_marked(sources: list[Path], tmp_path: Path) -> None:
    """It may not be finished when the grace time is over."""
    clock = FakeClock()
    backend = Bucket(clock)
    with made(backend, tmp_path / "one", clock=clock) as store:
        forget(store, [take_snapshot(store, sources[0]).snapshot])
        assert collect(store, grace_s=3600).doomed > 0

        taken = take_snapshot(store, sources[0])

        assert taken.snapshot.counts.new_bytes > 0
        clock.advance(3601)
        assert collect(store, grace_s=3600).removed > 0
        assert_sound(store, sources, 1)


def test_a_pack_that_is_mostly_waste_is_written_anew(sources: list[Path], tmp_path: Path) -> None:
    clock = FakeClock()
    backend = Bucket(clock)
    with made(backend, tmp_path / "one", clock=clock) as store:
        first = take_snapshot(store, sources[0])
        for path in list((sources[0] / "below").iterdir())[:30]:
            path.unlink()
        clock.advance(60)
        take_snapshot(store, sources[0])
        forget(store, [first.snapshot])
        before = sum(file.size_bytes for file in backend.list("packs"))

        planned = collect(store, is_dry=True)
        assert planned.plan.repacked
        assert list(backend.list("marks")) == []
        collect(store, grace_s=0)

        assert sum(file.size_bytes for file in backend.list("packs")) < before / 2
        assert collect(store, grace_s=0).plan.free_bytes == 0
        assert list(backend.list("marks")) == []
        assert_sound(store, sources, 1)


def test_who_reads_follows_what_another_machine_writes_anew(
    sources: list[Path], tmp_path: Path
) -> None:
    """A long restore went wrong when the store was collected meanwhile."""
    clock = FakeClock()
    backend = Bucket(clock)
    with (
        made(backend, tmp_path / "one", clock=clock) as one,
        opened(backend, tmp_path / "two", clock=clock) as two,
    ):
        first = take_snapshot(one, sources[0]).snapshot
        for path in list((sources[0] / "below").iterdir())[:30]:
            path.unlink()
        clock.advance(60)
        second = take_snapshot(one, sources[0]).snapshot
        two.refresh()
        forget(one, [first])
        assert collect(one, grace_s=0).plan.repacked

        assert contents(two, second.root) == content_of(sources[0])
        with pytest.raises(StoreDamagedError):
            two.read_blob(bytes(32))


class Bucket(MemoryBackend):
    """A place where nobody can be held off."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)

    def _take(self, *, is_exclusive: bool) -> bool:
        return True


# One catalog, one folder, two who look at it.


def much_later() -> FakeClock:
    """Give a clock by which every file is old enough to be told apart."""
    return FakeClock(datetime.now(UTC) + timedelta(hours=1))


def test_what_another_learned_meanwhile_is_not_mixed_with_what_was_known(tmp_path: Path) -> None:
    """The facts of a changed file were learned by another, its old content was known before."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "b").write_bytes(b"old")
    place, cache, clock = tmp_path / "store", tmp_path / "cache", much_later()
    with (
        made(LocalBackend(place), cache, clock=clock) as one,
        opened(place, cache, clock=clock) as two,
    ):
        take_snapshot(one, source)
        late = []

        def meanwhile(_files: int, _bytes: int) -> None:
            if not late:
                (source / "below" / "b").write_bytes(b"new!")
                late.append(take_snapshot(two, source))

        taken = take_snapshot(one, source, on_progress=meanwhile)

        assert contents(one, taken.snapshot.root) == {b"below/b": b"new!"}


def test_what_one_snapshot_knows_is_not_said_of_another(tmp_path: Path) -> None:
    """Of two at once, what the first saw last was kept as if the second had it; then the first goes."""
    source = tmp_path / "source"
    for name in ("a", "z"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(name.encode() * 1000)
    place, cache, clock = tmp_path / "store", tmp_path / "cache", much_later()
    with (
        made(LocalBackend(place), cache, clock=clock) as one,
        opened(place, cache, clock=clock) as two,
    ):
        take_snapshot(one, source)
        others = []

        def meanwhile(files: int, _bytes: int) -> None:
            if files == 2 and not others:
                (source / "a" / "file").write_bytes(b"A" * 1000)
                others.append(take_snapshot(two, source).snapshot)

        taken = take_snapshot(one, source, on_progress=meanwhile)
        assert contents(one, taken.snapshot.root)[b"a/file"] == b"a" * 1000

        assert contents(one, others[0].root)[b"a/file"] == b"A" * 1000
        assert one.catalog.seen_by(str(source)) == ""
        forget(one, others)
        collect(one, grace_s=0)
        last = take_snapshot(one, source)
        assert contents(one, last.snapshot.root)[b"a/file"] == b"A" * 1000
        assert one.catalog.seen_by(str(source)) != ""


def test_a_doubt_that_came_meanwhile_stays(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "b").write_bytes(b"b")
    with made(MemoryBackend(), tmp_path / "cache") as store:
        take_snapshot(store, source)

        take_snapshot(store, source, on_progress=lambda _files, _bytes: store.catalog.doubt())
        assert store.catalog.seen_by(str(source)) == ""
        # In doubt before, and again meanwhile.
        take_snapshot(store, source, on_progress=lambda _files, _bytes: store.catalog.doubt())
        assert store.catalog.seen_by(str(source)) == ""

        take_snapshot(store, source)
        assert store.catalog.seen_by(str(source)) != ""
