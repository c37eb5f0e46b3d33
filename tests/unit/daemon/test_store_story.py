"""What the journal tells of a store, record by record."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resile.core.events import (
    DataMended,
    DataMismatched,
    Payload,
    SnapshotFailed,
    SnapshotTaken,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreUnreachable,
    StoreVerified,
)
from resile.core.journal import Record
from resile.daemon.store_story import FLAWS_MAX, StoreStory
from resile.testing.view import FakeSystemView

START = datetime(2026, 1, 1, tzinfo=UTC)


def records(payloads: Sequence[Payload]) -> list[Record]:
    view = FakeSystemView()
    for index, payload in enumerate(payloads):
        view.append(payload, at=START + timedelta(minutes=index))
    return view.records


def story(*payloads: Payload) -> StoreStory:
    made = StoreStory()
    made.add(records(payloads))
    return made


def damaged(file: str = "packs/1") -> StoreDamaged:
    return StoreDamaged(place="/s", file=file, what="another hash")


def mended(file: str = "packs/1") -> StoreMended:
    return StoreMended(place="/s", file=file, origin="replica", duration_s=0.1)


def verified(*, is_full: bool = True, flaws: int = 0) -> StoreVerified:
    return StoreVerified(
        place="/s", is_full=is_full, files=9, bytes=900, flaws=flaws, duration_s=1.0
    )


def taken(source: str = "/kb", place: str = "/s") -> SnapshotTaken:
    return SnapshotTaken(
        source=source,
        snapshot_id="a" * 64,
        place=place,
        files=1,
        bytes=1,
        new_bytes=1,
        stored_bytes=1,
        duration_s=0.1,
    )


def test_nothing_is_known_of_an_empty_journal() -> None:
    assert story().facts() == {
        "verified": None,
        "fully_verified_at": None,
        "found": 0,
        "mended": 0,
        "flaws": [],
        "lost": None,
        "failed": [],
    }


def test_a_flaw_is_open_until_it_is_mended() -> None:
    (flaw,) = story(damaged()).facts()["flaws"]
    assert (flaw["name"], flaw["at"], flaw["mended_at"]) == ("packs/1", START, None)

    facts = story(damaged(), mended()).facts()
    (flaw,) = facts["flaws"]
    assert flaw["mended_at"] == START + timedelta(minutes=1)
    assert (flaw["origin"], flaw["what"]) == ("replica", "another hash")
    assert (facts["found"], facts["mended"]) == (1, 1)


def test_a_flaw_that_is_told_again_counts_once_and_one_that_comes_back_twice() -> None:
    assert story(damaged(), damaged()).facts()["found"] == 1

    facts = story(damaged(), mended(), damaged()).facts()
    assert (facts["found"], facts["mended"]) == (2, 1)
    assert [one["mended_at"] for one in facts["flaws"]] == [None]


def test_what_was_mended_without_being_told_before_was_damaged() -> None:
    facts = story(mended()).facts()

    assert (facts["found"], facts["mended"], len(facts["flaws"])) == (1, 1, 1)


def test_files_of_a_folder_are_flaws_too() -> None:
    facts = story(
        DataMismatched(source="/kb", path="x", what="another hash"),
        DataMended(source="/kb", path="x", snapshot_id="c" * 64, duration_s=0.2),
    ).facts()

    (flaw,) = facts["flaws"]
    assert (flaw["where"], flaw["name"]) == ("folder", "/kb/x")
    assert flaw["origin"] == "snapshot cccccccccc"


def test_a_full_verification_without_a_flaw_closes_what_is_open() -> None:
    lost = StoreLost(place="/s", paths=2, first="a")
    before = story(damaged(), lost, verified(is_full=False), verified(flaws=1)).facts()
    assert before["lost"]["paths"] == 2
    assert before["mended"] == 0

    after = story(damaged(), lost, verified()).facts()
    assert after["lost"] is None
    assert (after["mended"], after["flaws"][0]["origin"]) == (1, "")
    assert after["verified"]["at"] == after["fully_verified_at"] == START + timedelta(minutes=2)


def test_a_look_at_the_structure_does_not_count_as_a_full_one() -> None:
    facts = story(verified(), verified(is_full=False)).facts()

    assert facts["fully_verified_at"] == START
    assert facts["verified"]["is_full"] is False


def test_a_folder_fails_until_its_next_snapshot() -> None:
    failed = SnapshotFailed(source="/kb", place="/s", reason="EIO")
    assert [one["source"] for one in story(failed, failed, taken("/x")).facts()["failed"]] == [
        "/kb"
    ]
    assert story(failed, taken()).facts()["failed"] == []


@pytest.mark.parametrize(
    ("then", "trouble"),
    [
        ([], "refused"),
        ([taken(place="/s")], "refused"),
        (
            [StoreReplicated(place="/s", replica="/r", copied=1, copied_bytes=1, lag_s=3.0)],
            "",
        ),
    ],
)
def test_a_replica_is_in_trouble_until_it_is_reached(then: Any, trouble: str) -> None:
    made = story(StoreUnreachable(place="/r", reason="refused"), *then)

    assert made.trouble_at("/r") == trouble


def test_the_newest_flaws_are_listed_and_all_are_counted() -> None:
    facts = story(*(damaged(f"packs/{index}") for index in range(FLAWS_MAX + 5))).facts()

    assert facts["found"] == FLAWS_MAX + 5
    assert len(facts["flaws"]) == FLAWS_MAX
    assert facts["flaws"][0]["name"] == f"packs/{FLAWS_MAX + 4}"
