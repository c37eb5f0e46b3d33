"""Drills as the pages get them, told from the journal."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.drill.stories import CRASH, FULL, HANG, NOW, ago, drill, proved, told

from resile.core.events import FaultInjected
from resile.core.files import lock_file
from resile.core.vocabulary import DrillVerdict
from resile.daemon.drill_desk import SHOWN_MAX, DrillDesk
from resile.drill import Aim, Cell, Proof, Scenario
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal
from resile.web import drill_models

V = DrillVerdict


def a_cell(name: str) -> Cell:
    scenario, _, target = name.partition(":")
    return Cell(
        scenario=Scenario(
            name=scenario, text=f"a {scenario}", fault="x", aim=Aim.SERVICE, proof=Proof.MENDED
        ),
        target=target,
    )


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


def desk(journal: MemoryJournal, *names: str, lock: Path = Path("/nowhere")) -> DrillDesk:
    matrix = [a_cell(name) for name in names]
    return DrillDesk(journal, matrix=matrix, clock=FakeClock(NOW), lock=lock)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_nothing_that_was_tried_scores_nothing(journal: MemoryJournal) -> None:
    found = run(desk(journal, CRASH, HANG).overview())

    assert found["score"]["points"] == 0
    assert [(cell["cell"], cell["last"]) for cell in found["cells"]] == [
        (CRASH, None),
        (HANG, None),
    ]
    assert found["cells"][0]["text"] == "a crash"
    assert found["drills"] == []
    drill_models.Drills.model_validate(found)


def test_what_other_processes_journal_is_seen_the_next_time(journal: MemoryJournal) -> None:
    one = desk(journal, CRASH, HANG)

    async def look() -> tuple[Any, Any]:
        before = await one.overview()
        journal.append(
            *drill("drl_1", ago(hours=1), proved(CRASH), proved(HANG, V.SLOW, why="slow"))
        )
        return before, await one.overview()

    before, after = run(look())

    assert before["drills"] == []
    assert (after["score"]["points"], after["score"]["proven"]) == (50, 1)
    crash, hang = after["cells"]
    assert crash["passed_at"] == crash["last"]["at"] == ago(hours=1) + timedelta(seconds=10)
    assert (hang["worth"], hang["passed_at"], hang["last"]["why"]) == (0.0, None, "slow")
    assert hang["last"]["detected_s"] is None
    assert after["drills"][0]["failed"] == 1
    drill_models.Drills.model_validate(after)


def test_what_is_not_declared_any_more_is_left_out_and_without_a_matrix_all_is_shown(
    journal: MemoryJournal,
) -> None:
    journal.append(*drill("drl_1", ago(1), proved(CRASH), proved(FULL)))

    assert [cell["cell"] for cell in run(desk(journal, CRASH).overview())["cells"]] == [CRASH]
    assert len(run(desk(journal).overview())["cells"]) == 2


def test_drill_tells_what_got_worse_and_how_far_it_is(
    journal: MemoryJournal, tmp_path: Path
) -> None:
    journal.append(*drill("drl_1", ago(1), proved(CRASH), proved(HANG)))
    journal.append(*drill("drl_2", ago(), proved(CRASH, V.LOST, drill="drl_2"), is_ended=False))
    lock = tmp_path / "drill.lock"

    with lock_file(lock):
        newest = run(desk(journal, CRASH, HANG, lock=lock).overview())["drills"][0]

    assert (newest["id"], newest["is_running"], newest["score"]) == ("drl_2", True, None)
    assert newest["worse"] == [{"cell": CRASH, "why": "passed, now lost"}]


def test_drill_that_was_killed_does_not_go_on(journal: MemoryJournal, tmp_path: Path) -> None:
    lock = tmp_path / "drill.lock"
    journal.append(*drill("drl_1", ago(), proved(CRASH), is_ended=False))
    journal.append(*drill("drl_2", ago(), proved(CRASH, drill="drl_2"), is_ended=False))

    with lock_file(lock):
        held = run(desk(journal, CRASH, lock=lock).overview())["drills"]
    left = run(desk(journal, CRASH, lock=lock).overview())["drills"]

    assert [one["is_running"] for one in held] == [True, False]
    assert [one["is_running"] for one in left] == [False, False]


def test_what_was_not_tried_any_more_is_no_failure(journal: MemoryJournal) -> None:
    tries = [proved(CRASH, V.SLOW), proved(HANG, V.INTERRUPTED), proved(FULL, V.SKIPPED)]
    journal.append(*drill("drl_1", ago(1), *tries))

    found = run(desk(journal, CRASH).overview())["drills"][0]

    assert (found["planned"], found["failed"], found["skipped"]) == (3, 1, 1)


def test_what_was_merely_slow_failed_and_missed_nothing(journal: MemoryJournal) -> None:
    journal.append(*drill("drl_1", ago(2), proved(CRASH, V.SLOW), proved(HANG)))
    tries = [proved(CRASH, V.SLOW, drill="drl_2"), proved(HANG, V.LOST, drill="drl_2")]
    journal.append(*drill("drl_2", ago(1), *tries))

    found = run(desk(journal, CRASH).overview())["drills"]

    assert [(one["failed"], one["missed"]) for one in found] == [(2, 1), (1, 0)]


def test_drills_that_are_listed_are_bounded(journal: MemoryJournal) -> None:
    for number in range(SHOWN_MAX + 5):
        journal.append(*drill(f"drl_{number}", ago(50 - number), proved(CRASH)))

    drills = run(desk(journal, CRASH).overview())["drills"]

    assert len(drills) == SHOWN_MAX
    assert drills[0]["id"] == f"drl_{SHOWN_MAX + 4}"


def test_one_drill_is_told_with_its_time_lines(journal: MemoryJournal) -> None:
    begun, first, ended = drill("drl_1", ago(1), proved(CRASH))
    injected = FaultInjected(
        fault_id="flt_1", fault="process.kill", target="service/api", ttl_s=5, who="drill"
    )
    journal.append(begun, told(injected, begun.at + timedelta(seconds=2)), first, ended)
    one = desk(journal, CRASH)

    found = run(one.drill("drl_1"))

    result = drill_models.ToldDrill.model_validate(found).results[0]
    assert result.began_at == begun.at + timedelta(seconds=2)
    assert "process.kill" in result.timeline[0].text
    assert run(one.drill("drl_9")) is None
