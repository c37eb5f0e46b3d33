"""Whoever asks the storekeeper gets a snapshot, an earlier one that holds the same, or is told why not."""

import pytest
from tests.support.storekeeper_bench import REPLICATE, Bench
from tests.support.storing import flip

from resile.daemon.storekeeper.asking import Asking


def test_whoever_asks_gets_a_snapshot(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)

    first = asking.answer({"snapshot": str(bench.source), "tags": ["before"]})
    bench.clock.advance(1)
    second = asking.answer({"snapshot": str(bench.source)})

    assert first["is_changed"]
    assert not second["is_changed"]
    assert bench.snapshots()[0].tags == ("before", "own")
    assert bench.keeper.due() == REPLICATE


def test_whoever_bears_an_earlier_one_gets_it_where_nothing_changed(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)
    asked = {"snapshot": str(bench.source), "reuse_within_s": 5.0}

    first = asking.answer(asked)
    bench.clock.advance(4)
    second = asking.answer(asked)
    bench.clock.advance(1)
    third = asking.answer(asked)

    assert first["id"] == second["id"] != third["id"]
    assert not second["is_changed"]
    assert len(bench.told("snapshot.taken")) == len(bench.snapshots()) == 2


def test_earlier_one_is_not_given_once_anything_changed(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)
    asked = {"snapshot": str(bench.source), "reuse_within_s": 5.0}
    first = asking.answer(asked)

    (bench.source / "file").write_text("another")
    second = asking.answer(asked)

    assert second["is_changed"]
    assert second["id"] != first["id"]
    assert asking.answer(asked)["id"] == second["id"]


def test_earlier_one_is_not_given_once_it_is_gone(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)
    asked = {"snapshot": str(bench.source), "reuse_within_s": 5.0}
    first = asking.answer(asked)

    (bench.place / "snapshots" / first["id"]).unlink()

    assert asking.answer(asked)["id"] != first["id"]
    assert len(bench.snapshots()) == 1


def test_earlier_one_is_not_given_once_it_is_damaged(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)
    asked = {"snapshot": str(bench.source), "reuse_within_s": 5.0}
    first = asking.answer(asked)

    flip(bench.place / "snapshots" / first["id"], 40)
    second = asking.answer(asked)

    assert second["id"] != first["id"]
    assert second["id"] in {one.snapshot_id for one in bench.snapshots()}


def test_clock_that_went_back_makes_no_earlier_one_young(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)
    asked = {"snapshot": str(bench.source), "reuse_within_s": 5.0}
    first = asking.answer(asked)

    bench.clock.jump(-60)

    assert asking.answer(asked)["id"] != first["id"]


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        {},
        {"snapshot": 5},
        {"snapshot": "/x", "tags": "t"},
        {"snapshot": "/x", "reuse_within_s": "1"},
        {"snapshot": "/x", "reuse_within_s": -1},
    ],
)
def test_whoever_asks_wrongly_is_told(bench: Bench, request_: object) -> None:
    assert "error" in Asking(bench.keeper, place="", run=bench.state).answer(request_)


def test_whoever_means_another_folder_or_store_is_told(bench: Bench) -> None:
    asking = Asking(bench.keeper, place=str(bench.place), run=bench.state)

    assert asking.answer({"snapshot": "/elsewhere"}) == {"unknown": True}
    assert asking.answer({"snapshot": str(bench.source), "store": "/x"}) == {"unknown": True}


def test_whoever_knows_the_folder_by_a_link_is_served(bench: Bench) -> None:
    link = bench.source.with_name("link")
    link.symlink_to(bench.source)

    answer = Asking(bench.keeper, place=str(bench.place), run=bench.state).answer(
        {"snapshot": str(link)}
    )

    assert answer["id"] == bench.snapshots()[0].snapshot_id


def test_whoever_asks_hears_of_a_failure(bench: Bench) -> None:
    bench.place.touch()

    answer = Asking(bench.keeper, place=str(bench.place), run=bench.state).answer(
        {"snapshot": str(bench.source)}
    )

    assert answer["error"]
