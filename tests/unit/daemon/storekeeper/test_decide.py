"""When the storekeeper's jobs are due."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.daemon.storekeeper.decide import (
    COLLECT_EVERY_S,
    COLLECT_FIRST_S,
    NEVER_S,
    RETRY_MAX_S,
    first_times,
    follow,
    next_time,
    pass_due_in_s,
    passes,
    pick,
)
from resile.daemon.storekeeper.model import (
    REPLICA,
    STORE,
    Ended,
    FolderPlan,
    Job,
    JobKind,
    Memory,
    Pass,
    Plan,
)
from resile.store import Keep

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY_S = 86_400.0


def plan(
    *,
    replica: str = "",
    is_replicated: bool = True,
    is_protected: bool = False,
    compare_every_s: float = 7 * DAY_S,
) -> Plan:
    folders = {
        name: FolderPlan(
            name=name,
            source=Path("/data") / name,
            every_s=300,
            keep=Keep(last=1),
            is_protected=is_protected,
            compare_every_s=compare_every_s,
        )
        for name in ("a", "b")
    }
    return Plan(
        state=Path("/state"),
        place="/place",
        replica=replica,
        replica_folder=replica if replica.startswith("/") else "",
        is_replicated=is_replicated,
        scrub_every_s=7 * DAY_S,
        scrub_bytes_per_s=1000,
        folders=folders,
    )


SNAPSHOT = Job(kind=JobKind.SNAPSHOT, name="a")
REPLICATE = Job(kind=JobKind.REPLICATE)
COLLECT = Job(kind=JobKind.COLLECT)
SCRUB = Job(kind=JobKind.SCRUB, name=STORE)


def test_first_snapshots_come_soon_and_one_after_the_other() -> None:
    times = first_times(plan(), Memory(), now_s=100, now=NOW)

    due = [times[Job(kind=JobKind.SNAPSHOT, name=name)] for name in ("a", "b")]
    assert 100 < due[0] < due[1] < 105


def test_what_is_not_declared_is_not_done() -> None:
    assert {job.kind for job in first_times(plan(), Memory(), now_s=0, now=NOW)} == {
        JobKind.SNAPSHOT,
        JobKind.COLLECT,
        JobKind.SCRUB,
    }
    assert REPLICATE not in first_times(
        plan(replica="/r", is_replicated=False), Memory(), now_s=0, now=NOW
    )


def test_second_store_is_scrubbed_and_protected_folders_are_compared() -> None:
    assert passes(plan(replica="/r", is_protected=True)) == {
        SCRUB: STORE,
        Job(kind=JobKind.SCRUB, name=REPLICA): REPLICA,
        Job(kind=JobKind.LIVE, name="a"): "live/a",
        Job(kind=JobKind.LIVE, name="b"): "live/b",
    }


def test_bucket_is_not_read_again_and_again() -> None:
    assert Job(kind=JobKind.SCRUB, name=REPLICA) not in passes(plan(replica="s3://bucket/x"))


def test_collection_is_daily_across_restarts_and_never_right_after_one() -> None:
    for collected_at, expected_s in (
        (None, COLLECT_FIRST_S),
        (NOW - timedelta(days=9), COLLECT_FIRST_S),
        (NOW - timedelta(hours=20), 4 * 3600),
        (NOW + timedelta(days=400), COLLECT_EVERY_S),
    ):
        times = first_times(plan(), Memory(collected_at=collected_at), now_s=7, now=NOW)
        assert times[COLLECT] == 7 + expected_s


def test_pass_that_was_interrupted_goes_on_and_one_that_is_over_waits() -> None:
    begun = Pass(began_at=NOW - timedelta(days=2), position="packs/x")

    assert pass_due_in_s(plan(), SCRUB, begun, NOW) == 0
    over = Pass(began_at=NOW - timedelta(days=2), is_over=True)
    assert pass_due_in_s(plan(), SCRUB, over, NOW) == 5 * DAY_S
    assert pass_due_in_s(plan(), SCRUB, over, NOW + timedelta(days=30)) == 0


def test_protected_folder_is_compared_in_its_own_time() -> None:
    over = Pass(began_at=NOW - timedelta(seconds=2), is_over=True)
    often = plan(is_protected=True, compare_every_s=5.0)

    assert pass_due_in_s(often, Job(kind=JobKind.LIVE, name="a"), over, NOW) == 3
    assert pass_due_in_s(often, SCRUB, over, NOW) == 7 * DAY_S - 2


def test_snapshots_keep_their_rhythm_and_make_up_for_nothing() -> None:
    assert next_time(plan(), SNAPSHOT, Ended(began_s=100, ended_s=110)) == 400
    late = next_time(plan(), SNAPSHOT, Ended(began_s=100, ended_s=1500))
    assert late <= 1500
    assert next_time(plan(), SNAPSHOT, Ended(began_s=1500, ended_s=1501)) == 1800


@given(failures=st.integers(1, 10_000))
def test_failures_are_tried_again_ever_later_within_bounds(failures: int) -> None:
    ended = Ended(began_s=0, ended_s=10, failures=failures)

    for job in (SNAPSHOT, REPLICATE, COLLECT, SCRUB):
        wait_s = next_time(plan(), job, ended) - 10
        assert 5 <= wait_s <= (300 if job is SNAPSHOT else RETRY_MAX_S)


def test_second_store_follows_each_snapshot_and_waits_otherwise() -> None:
    with_replica = plan(replica="/r")

    assert follow(with_replica, SNAPSHOT) == REPLICATE
    assert follow(with_replica, COLLECT) == REPLICATE
    assert follow(with_replica, SCRUB) is None
    assert follow(plan(), SNAPSHOT) is None
    assert next_time(with_replica, REPLICATE, Ended(began_s=0, ended_s=1)) == NEVER_S


@given(size=st.integers(0, 10**9), took_s=st.floats(0, 100))
def test_scrub_is_never_faster_than_its_rate(size: int, took_s: float) -> None:
    ended = Ended(began_s=50, ended_s=50 + took_s, size_bytes=size)

    due_s = next_time(plan(), SCRUB, ended)

    assert due_s >= ended.ended_s
    assert size / 1000 <= due_s - 50 + 1e-6


def test_scrub_rests_between_passes() -> None:
    ended = Ended(began_s=0, ended_s=1, size_bytes=5, is_pass_over=True)

    assert next_time(plan(), SCRUB, ended, rest_s=5 * DAY_S) == 1 + 5 * DAY_S
    assert next_time(plan(), SCRUB, ended) > 1


def test_what_has_been_due_for_longest_goes_first() -> None:
    assert pick({SNAPSHOT: 5, SCRUB: 3, COLLECT: 20}, 10) == SCRUB
    assert pick({SNAPSHOT: 5, SCRUB: 3, COLLECT: 20}, 2) is None
    assert pick({}, 2) is None


@given(
    st.lists(
        st.sampled_from([SNAPSHOT, Job(kind=JobKind.SNAPSHOT, name="b"), SCRUB, COLLECT]),
        min_size=1,
    ),
    st.floats(0.1, 1000),
)
def test_no_job_starves_however_long_the_others_take(jobs: list[Job], took_s: float) -> None:
    """Every job that is due gets its turn before any other has had two."""
    times = dict.fromkeys(jobs, 0.0)
    now_s, done = 0.0, []
    for _ in range(len(times)):
        job = pick(times, now_s)
        assert job is not None
        done.append(job)
        ended = Ended(began_s=now_s, ended_s=now_s + took_s)
        now_s += took_s
        times[job] = max(next_time(plan(), job, ended), math.nextafter(0, 1))

    assert len(set(done)) == len(done)


@pytest.mark.parametrize("kind", list(JobKind))
def test_every_kind_is_due_again_or_waits_for_another(kind: JobKind) -> None:
    due_s = next_time(plan(), Job(kind=kind, name="a"), Ended(began_s=0, ended_s=1))

    assert due_s > 0
