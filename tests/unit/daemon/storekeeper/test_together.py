"""Those who ask at once share a snapshot, and nobody gets one that began before they asked."""

import threading
from datetime import UTC, datetime

import pytest

from resile.daemon.storekeeper.together import Together
from resile.errors import StoreError
from resile.store import CHECKPOINT_TAG, Entry, EntryType, Snapshot, Taken, Why

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Bench:
    """Takes snapshots of nothing; the first one ends when the test says so."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []
        self.ages_s: list[float] = []
        self.began, self.may_end = threading.Event(), threading.Event()
        self.fails = False
        self.together = Together(self._take)
        self.results: dict[str, Taken | Exception] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, *tags: str, reuse_within_s: float = 0.0) -> None:
        """Ask in a thread, which is waiting when this returns."""

        def run() -> None:
            try:
                self.results[tags[0]] = self.together.take(tags, reuse_within_s=reuse_within_s)
            except StoreError as exc:
                self.results[tags[0]] = exc

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def end(self) -> None:
        """Let everything end."""
        self.may_end.set()
        for thread in self._threads:
            thread.join()

    def wait_waiting(self, count: int) -> None:
        """Wait until so many tags are waited for."""
        while sum(len(batch._tags) for batch in self.together._waiting.values()) < count:
            pass

    def _take(self, tags: tuple[str, ...], reuse_within_s: float) -> Taken:
        self.taken.append(tags)
        self.ages_s.append(reuse_within_s)
        self.began.set()
        self.may_end.wait(10)
        if self.fails:
            raise StoreError("the disk is full")
        return taken(str(len(self.taken)))


def taken(name: str) -> Taken:
    snapshot = Snapshot(
        snapshot_id=name,
        host="host",
        user="user",
        source="/x",
        started_at=NOW,
        finished_at=NOW,
        root=Entry(name=b"", type=EntryType.FOLDER, mode=0o755, uid=0, gid=0, mtime_ns=0),
    )
    return Taken(snapshot=snapshot, why=Why(), is_changed=False)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ids(bench: Bench, *names: str) -> list[str]:
    found = [bench.results[name] for name in names]
    return [one.snapshot.snapshot_id for one in found if isinstance(one, Taken)]


def test_those_who_wait_share_the_next_one(bench: Bench) -> None:
    bench.ask("a", CHECKPOINT_TAG)
    bench.began.wait(10)
    bench.ask("b", CHECKPOINT_TAG)
    bench.ask("c", CHECKPOINT_TAG)
    bench.wait_waiting(3)
    bench.end()

    first, second = bench.taken
    assert first == ("a", CHECKPOINT_TAG)
    assert set(second) == {"b", "c", CHECKPOINT_TAG}
    assert ids(bench, "a", "b", "c") == ["1", "2", "2"]


def test_what_is_to_stay_is_not_taken_with_what_goes(bench: Bench) -> None:
    bench.ask("a")
    bench.began.wait(10)
    bench.ask("kept")
    bench.ask("goes", CHECKPOINT_TAG)
    bench.wait_waiting(3)
    bench.end()

    assert sorted(bench.taken[1:]) == [("goes", CHECKPOINT_TAG), ("kept",)]


def test_failure_is_everybodys_and_of_this_one_alone(bench: Bench) -> None:
    bench.fails = True
    bench.ask("a")
    bench.began.wait(10)
    bench.ask("b")
    bench.ask("c")
    bench.wait_waiting(2)
    bench.end()
    bench.fails = False

    later = bench.together.take(("d",))

    assert [str(bench.results[name]) for name in "abc"] == ["the disk is full"] * 3
    assert later.snapshot.snapshot_id == "3"


def test_of_those_who_wait_the_one_who_bears_the_least_age_decides(bench: Bench) -> None:
    bench.ask("a", CHECKPOINT_TAG, reuse_within_s=3.0)
    bench.began.wait(10)
    bench.ask("b", CHECKPOINT_TAG, reuse_within_s=2.0)
    bench.ask("c", CHECKPOINT_TAG, reuse_within_s=1.0)
    bench.wait_waiting(3)
    bench.end()

    assert bench.ages_s == [3.0, 1.0]
