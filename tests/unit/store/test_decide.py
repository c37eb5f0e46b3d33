"""Which snapshots stay, and which packs go: rules that only look."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.store import Entry, EntryType, Keep, Snapshot, decide_kept
from resile.store.decide import PackUse, decide_gc

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
ROOT = Entry(name=b"", type=EntryType.FOLDER, mode=0, uid=0, gid=0, mtime_ns=0, tree=bytes(32))


def taken(ago_h: float, *, source: str = "/a", tags: tuple[str, ...] = ()) -> Snapshot:
    at = NOW - timedelta(hours=ago_h)
    return Snapshot(
        snapshot_id=f"{source}{ago_h}",
        source=source,
        host="h",
        user="u",
        started_at=at,
        finished_at=at,
        root=ROOT,
        tags=tags,
    )


def kept(snapshots: list[Snapshot], keep: Keep, **more: object) -> list[str]:
    facts = {"protected": frozenset(), "now": NOW, **more}
    decided = decide_kept(snapshots, keep, **facts)  # type: ignore[arg-type]
    assert sorted(one.snapshot.snapshot_id for one in decided) == sorted(
        one.snapshot_id for one in snapshots
    )
    return [one.snapshot.snapshot_id.removeprefix("/a") for one in decided if one.reasons]


EACH_HALF_HOUR = [taken(number / 2) for number in range(200)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep(), ["0.0"]),
        (Keep(last=3), ["0.0", "0.5", "1.0"]),
        (Keep(hourly=3), ["0.0", "0.5", "1.5"]),
        (Keep(daily=3), ["0.0", "12.5", "36.5"]),
        (Keep(weekly=2), ["0.0", "60.5"]),
        (Keep(within_s=3600), ["0.0", "0.5"]),
        (Keep(last=2, daily=2), ["0.0", "0.5", "12.5"]),
        (Keep(last=10**9, within_s=1e18), [str(one / 2) for one in range(200)]),
    ],
    ids=str,
)
def test_rules_keep_the_newest_of_each_period(keep: Keep, expected: list[str]) -> None:
    assert kept(EACH_HALF_HOUR, keep) == expected


def test_sources_are_decided_by_themselves() -> None:
    snapshots = [taken(1), taken(2), taken(50, source="/b"), taken(60, source="/b")]

    assert kept(snapshots, Keep(last=1)) == ["1", "/b50"]


def test_protected_and_tagged_ones_stay() -> None:
    snapshots = [taken(1), taken(2, tags=("release",)), taken(3), taken(4)]
    keep = Keep(last=1, tags=frozenset({"release", "other"}))

    assert kept(snapshots, keep, protected={"/a4"}) == ["1", "2", "4"]


def test_a_clock_that_went_wrong_empties_nothing() -> None:
    """Far in the past everything is old, and far in the future everything is; the newest stay."""
    for years in (-50, 50):
        now = NOW + timedelta(days=365 * years)
        assert kept([taken(1), taken(2)], Keep(within_s=60), now=now) == (
            ["1"] if years > 0 else ["1", "2"]
        )


def test_snapshots_from_the_future_count_as_new() -> None:
    assert kept([taken(-100), taken(-50), taken(5)], Keep(within_s=60)) == ["-100", "-50"]


KEEPS = st.builds(
    Keep,
    last=st.integers(0, 5),
    hourly=st.integers(0, 5),
    daily=st.integers(0, 5),
    weekly=st.integers(0, 5),
    within_s=st.floats(0, 1e12),
    tags=st.frozensets(st.sampled_from("abc")),
)
SNAPSHOTS = st.lists(
    st.builds(
        taken,
        st.integers(-1000, 10_000),
        source=st.sampled_from(["/a", "/b"]),
        tags=st.sets(st.sampled_from("abc"), max_size=1).map(tuple),
    ),
    max_size=30,
    unique_by=lambda one: one.snapshot_id,
)


@given(snapshots=SNAPSHOTS, keep=KEEPS, count=st.integers(0, 3))
def test_whatever_the_rules_are_these_stay(
    snapshots: list[Snapshot], keep: Keep, count: int
) -> None:
    protected = {one.snapshot_id for one in snapshots[:count]}
    decided = decide_kept(snapshots, keep, protected=protected, now=NOW)
    stay = {one.snapshot.snapshot_id for one in decided if one.reasons}

    assert protected <= stay
    for source in {one.source for one in snapshots}:
        group = [one for one in snapshots if one.source == source]
        assert max(group, key=lambda one: (one.started_at, one.snapshot_id)).snapshot_id in stay
        ours = [one for one in group if one.snapshot_id in stay]
        assert len(ours) >= min(len(group), keep.last)
    assert {one.snapshot_id for one in snapshots if keep.tags & set(one.tags)} <= stay
    # What is kept is kept again: forgetting twice takes no more than forgetting once.
    rest = [one for one in snapshots if one.snapshot_id in stay]
    again = decide_kept(rest, keep, protected=protected, now=NOW)
    assert all(one.reasons for one in again)


def test_packs_go_or_are_written_anew_by_what_is_needed() -> None:
    packs = {
        "whole": PackUse(size_bytes=100, blob_bytes=200, needed_bytes=200),
        "good": PackUse(size_bytes=100, blob_bytes=200, needed_bytes=150),
        "waste": PackUse(size_bytes=100, blob_bytes=200, needed_bytes=100),
        "gone": PackUse(size_bytes=100, blob_bytes=200, needed_bytes=0),
        "empty": PackUse(size_bytes=50, blob_bytes=0, needed_bytes=0),
    }

    plan = decide_gc(packs)

    assert (plan.unneeded, plan.repacked, plan.free_bytes) == (("empty", "gone"), ("waste",), 200)
    assert decide_gc(packs, repack_share=1.0).repacked == ()
    assert decide_gc({}).free_bytes == 0


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1)),
        max_size=8,
    ),
    st.floats(0, 1),
)
def test_nothing_that_is_needed_ever_goes(
    packs: dict[str, tuple[int, int, float]], share: float
) -> None:
    uses = {
        name: PackUse(size_bytes=size, blob_bytes=blobs, needed_bytes=int(blobs * needed))
        for name, (size, blobs, needed) in packs.items()
    }

    plan = decide_gc(uses, repack_share=share)

    assert set(plan.unneeded) == {name for name, use in uses.items() if not use.needed_bytes}
    assert set(plan.unneeded).isdisjoint(plan.repacked)
    assert 0 <= plan.free_bytes <= sum(use.size_bytes for use in uses.values())
