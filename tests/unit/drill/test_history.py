"""What the journal tells of drills."""

from dataclasses import replace
from datetime import timedelta

from tests.unit.drill.stories import CRASH, FULL, HANG, NOW, ago, drill, proved, told

from resile.core.events import BrainStarted, Event
from resile.core.vocabulary import DrillVerdict
from resile.drill.compare import Change
from resile.drill.history import CELLS_MAX, DRILLS_MAX, SILENT, History
from resile.drill.score import Finding

V = DrillVerdict


def history(*drills: list[Event]) -> History:
    found = History()
    for events in drills:
        found.add(events)
    return found


def test_unknown_kinds_and_bodies_of_later_versions_are_passed_over() -> None:
    begun, ended = drill("drl_1", ago(1))
    other = told(BrainStarted(pid=1, guard_pid=1, release="1", config_digest=""), ago(1))

    found = history([other, replace(begun, body={"x": 1}), replace(ended, kind="drill.paused")])

    assert found.drills == ()


def test_drill_whose_beginning_is_gone_is_known_by_its_results() -> None:
    found = history(drill("drl_1", ago(1), proved(CRASH))[1:])

    assert [d.drill_id for d in found.drills] == ["drl_1"]
    assert found.drills[0].results[0].result.cell == CRASH


def test_drills_come_newest_first_with_their_ends() -> None:
    found = history(
        drill("drl_1", ago(2), proved(CRASH)),
        drill("drl_2", ago(1), proved(CRASH, V.SLOW, drill="drl_2")),
    )

    newest, oldest = found.drills
    assert (newest.drill_id, oldest.drill_id) == ("drl_2", "drl_1")
    assert newest.end is not None
    assert (newest.end.failed, newest.who) == (1, "ann")
    assert newest.ended_at == ago(1) + timedelta(seconds=11)


def test_drill_without_an_end_runs_until_it_was_silent_for_too_long() -> None:
    found = history(drill("drl_1", ago(), proved(CRASH), is_ended=False))
    last_at = NOW + timedelta(seconds=10)

    assert found.drills[0].is_running(last_at + SILENT / 2)
    assert not found.drills[0].is_running(last_at + SILENT)


def test_drill_that_ended_does_not_run() -> None:
    assert not history(drill("drl_1", ago(), proved(CRASH))).drills[0].is_running(NOW)


def test_finding_that_says_nothing_leaves_an_older_proof() -> None:
    for verdict in (V.SKIPPED, V.INCONCLUSIVE, V.INTERRUPTED):
        found = history(
            drill("drl_1", ago(3), proved(CRASH)),
            drill("drl_2", ago(1), proved(CRASH, verdict, drill="drl_2")),
        )

        assert found.proofs()[CRASH].at == ago(3) + timedelta(seconds=10)
        assert found.latest[CRASH].result.verdict is verdict


def test_failure_ends_an_older_proof_but_not_the_memory_of_it() -> None:
    found = history(
        drill("drl_1", ago(3), proved(CRASH)),
        drill("drl_2", ago(1), proved(CRASH, V.LOST, drill="drl_2")),
    )

    assert found.proofs()[CRASH] == Finding(at=ago(1) + timedelta(seconds=10), verdict=V.LOST)
    assert found.passed[CRASH].drill_id == "drl_1"


def test_drill_is_compared_with_the_last_finding_about_each_cell() -> None:
    found = history(
        drill("drl_1", ago(4), proved(CRASH), proved(HANG)),
        drill("drl_2", ago(3), proved(CRASH, V.SKIPPED, drill="drl_2")),
        drill("drl_3", ago(2), proved(HANG, V.SLOW, drill="drl_3")),
        drill(
            "drl_4",
            ago(1),
            proved(CRASH, V.LOST, drill="drl_4"),
            proved(HANG, V.SLOW, drill="drl_4"),
            proved(FULL, drill="drl_4"),
        ),
        drill("drl_5", ago(0.5), proved(CRASH, drill="drl_5")),
    )

    changes = {
        drill_id: [(one.cell, one.change) for one in comparison.cells]
        for drill_id, comparison in found.comparisons().items()
    }
    assert changes == {
        "drl_1": [(CRASH, Change.NEW), (HANG, Change.NEW)],
        "drl_2": [(CRASH, Change.WORSE)],
        "drl_3": [(HANG, Change.WORSE)],
        "drl_4": [(CRASH, Change.WORSE), (HANG, Change.SAME), (FULL, Change.NEW)],
        "drl_5": [(CRASH, Change.BETTER)],
    }


def test_matrix_that_nobody_declares_is_what_was_told_of_lately() -> None:
    found = history(
        drill("drl_1", ago(100), proved(FULL)), drill("drl_2", ago(1), proved(CRASH, drill="drl_2"))
    )

    assert found.known_cells(NOW) == (CRASH,)


def test_memory_is_bounded() -> None:
    found = history(*(drill(f"drl_{n}", ago(1)) for n in range(DRILLS_MAX + 3)))
    many = [proved(f"crash:service/s{n}", drill="drl_many") for n in range(CELLS_MAX + 3)]
    found.add(drill("drl_many", ago(), *many))

    assert len(found.drills) == DRILLS_MAX
    assert len(found.drills[0].results) == len(found.drills[0].cells) == CELLS_MAX
    assert len(found.latest) == len(found.passed) == len(found.proofs()) == CELLS_MAX
    assert "crash:service/s0" not in found.latest


def test_of_a_drill_that_repeats_the_worst_try_counts() -> None:
    tries = [proved(CRASH), proved(CRASH, V.LOST), proved(CRASH), proved(CRASH, V.SKIPPED)]

    found = history(
        drill("drl_1", ago(1), *tries), drill("drl_2", ago(), proved(CRASH, drill="drl_2"))
    )

    assert found.proofs()[CRASH].verdict is V.PASSED
    assert found.comparisons()["drl_2"].cells[0].change is Change.BETTER
    assert history(drill("drl_1", ago(1), *tries)).latest[CRASH].result.verdict is V.LOST
    assert history(drill("drl_1", ago(1), *tries)).proofs()[CRASH].verdict is V.LOST
