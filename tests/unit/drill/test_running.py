"""Drills on a fake system: what is begun, measured, ended and told."""

from dataclasses import replace

import pytest
from tests.support.drilling import CRASH, DOWN, Stage, cell, opened

from resile.core.events import DrillBegun, DrillEnded, DrillProved
from resile.core.vocabulary import DrillVerdict
from resile.errors import ConfigError, RejectedError


@pytest.fixture
def stage():
    return Stage()


def only(drill):
    (result,) = drill.results
    return result


def test_a_system_that_is_not_well_is_left_alone(stage):
    stage.world.set("api", "DOWN")

    with pytest.raises(RejectedError, match="api is DOWN"):
        stage.runner.run([cell()])

    assert stage.act.begun == 0
    assert stage.told == []


def test_a_system_that_gets_well_within_seconds_is_waited_for(stage):
    stage.world.set("api", "UNKNOWN")
    stage.world.after(3.0, lambda: stage.world.set("api", "UP"))
    stage.act.do = stage.crash

    assert only(stage.runner.run([cell()])).verdict is DrillVerdict.PASSED


def test_what_is_mended_in_time_has_passed_and_is_told(stage):
    stage.act.do = stage.crash

    drill = stage.runner.run([cell()], drill_id="d1")

    result = only(drill)
    assert result.verdict is DrillVerdict.PASSED
    assert 0.1 <= result.detected_s <= 0.2
    assert 0.5 <= result.recovered_s <= 0.6
    assert [type(one) for one in stage.told] == [DrillBegun, DrillProved, DrillEnded]
    assert stage.told[2].score == 100
    assert stage.act.ends
    assert result.timeline


def test_what_falls_again_is_not_well_yet(stage):
    def crash():
        stage.crash(well_s=0.5)
        stage.world.after(1.5, lambda: stage.world.set("api", "DOWN"))
        stage.world.after(4.0, lambda: stage.world.set("api", "UP"))

    stage.act.do = crash

    result = only(stage.runner.run([cell()]))

    assert result.verdict is DrillVerdict.SLOW
    assert result.recovered_s >= 4.0


def test_what_nobody_notices_is_unseen_after_a_bounded_time(stage):
    stage.act.do = lambda: stage.world.set("api", "DOWN")

    result = only(stage.runner.run([cell()]))

    assert result.verdict is DrillVerdict.UNSEEN
    assert stage.clock.monotonic() < 60


def test_what_is_noticed_and_stays_down_is_not_mended(stage):
    stage.act.do = lambda: stage.crash(well_s=9999.0)

    result = only(stage.runner.run([cell()]))

    assert result.verdict is DrillVerdict.NOT_MENDED
    assert "api is DOWN" in result.why


def test_the_old_process_in_its_place_is_no_mending(stage):
    def blink():
        stage.world.tell(opened("service/api"))

    stage.act.do = blink

    result = only(stage.runner.run([cell()]))

    assert result.why == "service/api was not started anew"


def test_a_drill_ends_where_the_system_does_not_get_well_again(stage):
    stage.act.do = lambda: stage.crash(well_s=9999.0)

    drill = stage.runner.run([cell(), cell()])

    assert [one.verdict for one in drill.results] == [
        DrillVerdict.NOT_MENDED,
        DrillVerdict.INTERRUPTED,
    ]
    assert "did not get well again: api is DOWN" in drill.why
    assert stage.act.begun == 1


def test_what_cannot_be_done_here_is_skipped_with_its_reason(stage):
    drill = stage.runner.run([cell(obstacle="only root can do it")])

    assert only(drill).verdict is DrillVerdict.SKIPPED
    assert only(drill).why == "only root can do it"
    assert stage.act.begun == 0


def test_what_fails_to_begin_proves_nothing(stage):
    stage.act.error = "no watchdog"

    assert only(stage.runner.run([cell()])).verdict is DrillVerdict.INCONCLUSIVE
    assert stage.act.ends


def test_what_cannot_be_made_proves_nothing(stage):
    def refuse(_):
        raise ConfigError("there is no pack")

    stage.runner._parts = replace(stage.parts(), act_of=refuse)

    result = only(stage.runner.run([cell()]))

    assert (result.verdict, result.why) == (DrillVerdict.INCONCLUSIVE, "there is no pack")


def test_what_is_left_of_a_fault_is_told_before_all_else(stage):
    stage.act.do = stage.crash
    stage.act.left = "process 3 stands still"

    result = only(stage.runner.run([cell()]))

    assert result.verdict is DrillVerdict.NOT_MENDED
    assert "process 3 stands still" in result.why


def test_an_interrupted_drill_takes_back_what_it_did_and_begins_nothing_more(stage):
    stage.act.do = lambda: stage.world.after(0.3, lambda: stage.runner.interrupt("SIGTERM came"))

    drill = stage.runner.run([cell(), cell()])

    assert [one.verdict for one in drill.results] == [DrillVerdict.INTERRUPTED] * 2
    assert drill.why == "SIGTERM came"
    assert stage.act.begun == 1
    assert stage.act.ends
    assert stage.told[-1].why == "SIGTERM came"


def test_what_is_borne_is_held_and_then_has_to_be_well_again(stage):
    def stop():
        stage.world.set("api", "DOWN")
        stage.world.after(4.0, lambda: stage.world.set("api", "UP"))

    stage.act.do = stop

    result = only(stage.runner.run([cell(DOWN)]))

    assert result.verdict is DrillVerdict.PASSED
    assert stage.act.ends[0] >= 3.0
    assert 0.5 <= result.recovered_s <= 1.5


def test_what_is_borne_is_not_well_while_somebody_works_with_less(stage):
    def stop():
        stage.world.lacks = ("web works without api",)

    stage.act.do = stop

    result = only(stage.runner.run([cell(DOWN)]))

    assert result.verdict is DrillVerdict.NOT_MENDED
    assert result.why == "web works without api"


def test_what_is_repeated_is_done_anew_when_all_is_well_again(stage):
    stage.act.do = lambda: stage.crash(well_s=0.2)

    drill = stage.runner.run([cell(replace(CRASH, times=3, recovery_s_max=10.0))])

    assert stage.act.begun == 3
    assert only(drill).verdict is DrillVerdict.PASSED
    assert only(drill).recovered_s >= 0.6  # Each time it has to be another process than before.


def test_a_service_is_not_hit_so_often_that_it_would_be_quarantined():
    stage = Stage(intensity=3)
    stage.act.do = stage.crash

    drill = stage.runner.run([cell()] * 3)

    assert drill.count(DrillVerdict.PASSED) == 3
    assert stage.clock.monotonic() >= 60


def test_what_ended_before_the_drill_is_counted_too():
    stage = Stage(intensity=3)
    stage.world.ended = (("service/api", 70.0), ("service/api", 12.0), ("service/api", 10.0))
    stage.act.do = stage.crash

    assert only(stage.runner.run([cell()])).verdict is DrillVerdict.PASSED
    assert 48 <= stage.clock.monotonic() < 60


def test_what_an_operator_has_stopped_is_no_trouble():
    stage = Stage("api", "old")
    stage.world.table["old"] = replace(stage.world.table["old"], phase="stopped", state="UNKNOWN")
    stage.act.do = stage.crash

    assert only(stage.runner.run([cell()])).verdict is DrillVerdict.PASSED
