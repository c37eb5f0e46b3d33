"""An experiment: refused on a sick system, ended early by its guards, undone always, judged honestly."""

import pytest
from tests.support.chaotic import (
    QUESTIONS,
    World,
    action,
    engine_of,
    host_of,
    injection,
    probe,
)

from resile.chaos import Experiment, Pause, Settle
from resile.core.events import ExperimentBegun, ExperimentEnded, FaultInjected, FaultUndone
from resile.core.verdicts import ExperimentVerdict as Verdict
from resile.errors import ConfigError
from resile.testing import FakeClock


@pytest.fixture
def world():
    return World()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def host(tmp_path, world, clock):
    return host_of(tmp_path, world=world, clock=clock)


@pytest.fixture(autouse=True)
def questions(world):
    QUESTIONS.clear()
    QUESTIONS["well"] = lambda: True
    QUESTIONS["whole"] = lambda: not world.broken
    yield QUESTIONS
    QUESTIONS.clear()


def experiment(*steps, probes=("well",), **more):
    looks = [probe(one) if isinstance(one, str) else one for one in probes]
    return Experiment(title="t", probes=tuple(looks), method=steps, **more)


def test_a_system_that_is_not_steady_is_left_alone(host, world, questions):
    questions["well"] = lambda: False
    told = []

    report = engine_of(host, told).run(experiment(injection()))

    assert report.verdict is Verdict.UNSTEADY
    assert report.reason == "well gave false"
    assert world.history == []
    assert told == []


def test_a_probe_that_fails_is_not_steady(host, questions):
    questions["well"] = lambda: 1 / 0

    report = engine_of(host).run(experiment(injection()))

    assert report.verdict is Verdict.UNSTEADY
    assert "raised ZeroDivisionError" in report.reason


def test_what_this_machine_cannot_do_is_skipped_before_anything_is_done(host, world):
    host.faults["table.bang"].hindrance = "no table here"
    bang = injection("jug")
    hindered = type(bang)(
        name="bang", wish=type(bang.wish)(fault="table.bang", target="jug"), hold_s=0
    )

    report = engine_of(host).run(experiment(injection(), hindered))

    assert report.verdict is Verdict.SKIPPED
    assert report.reason == "table.bang jug: no table here"
    assert world.history == []


def test_a_target_that_does_not_exist_is_wrong_input(host, world):
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        engine_of(host).run(experiment(injection(), injection("nowhere")))
    assert world.history == []


def test_nothing_begins_while_faults_are_forbidden(host, world):
    host.ledger.folder.mkdir(parents=True)
    (host.ledger.folder / "stop").touch()

    report = engine_of(host).run(experiment(injection()))

    assert report.verdict is Verdict.SKIPPED
    assert "forbidden" in report.reason
    assert world.history == []


def test_a_fault_is_held_proven_and_taken_back(host, world, clock):
    told = []

    report = engine_of(host, told).run(experiment(injection(hold_s=3.0)))

    assert report.verdict is Verdict.PASSED
    (fault,) = report.faults
    assert (fault.applied_s, fault.proven_s) == (0.0, 0.0)
    assert fault.ended_s == pytest.approx(3.0)
    assert fault.is_gone
    assert report.recovered_s == pytest.approx(0.0)
    assert world.broken == set()
    assert host.ledger.records() == ()
    assert [type(one) for one in told] == [
        ExperimentBegun,
        FaultInjected,
        FaultUndone,
        ExperimentEnded,
    ]
    assert told[-1].verdict is Verdict.PASSED


def test_a_fault_without_effect_is_inconclusive(host, world):
    world.deaf.add("cup")

    report = engine_of(host).run(experiment(injection()))

    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason == "table.break cup was not proven to be active: whole"


def test_a_fault_that_fails_while_it_is_applied_is_inconclusive_and_undone(host, world):
    world.failing.add("cup")

    report = engine_of(host).run(experiment(injection()))

    assert report.verdict is Verdict.INCONCLUSIVE
    assert "it broke while it was broken" in report.reason
    assert world.broken == set()


def test_a_fault_that_does_not_go_is_told_before_all_else(host, world):
    world.sticky.add("cup")

    report = engine_of(host).run(experiment(injection()))

    assert report.verdict is Verdict.LEFT
    assert "broken" in report.reason
    assert len(host.ledger.records()) == 1


def test_a_system_that_does_not_come_back_in_time_has_deviated(host, world, clock, questions):
    questions["well"] = lambda: clock.monotonic() < 1 or clock.monotonic() > 100

    report = engine_of(host).run(experiment(injection(hold_s=2.0), recovers_within_s=5.0))

    assert report.verdict is Verdict.DEVIATED
    assert report.reason == "well gave false"
    assert report.recovered_s is None
    assert 7.0 <= clock.monotonic() < 8.0


def test_the_time_until_the_system_is_well_again_is_measured(host, clock, questions):
    questions["well"] = lambda: clock.monotonic() < 1 or clock.monotonic() > 4

    report = engine_of(host).run(experiment(injection(hold_s=2.0), recovers_within_s=5.0))

    assert report.verdict is Verdict.PASSED
    assert report.recovered_s == pytest.approx(2.0, abs=0.2)


def test_a_guard_ends_it_early_and_everything_is_taken_back(host, world, clock, questions):
    questions["guard"] = lambda: clock.monotonic() < 2

    report = engine_of(host).run(
        experiment(
            injection("jug", is_background=True),
            injection("cup", hold_s=60.0, ttl_s=90.0),
            probes=("well", probe("guard", is_guard=True)),
        )
    )

    assert report.verdict is Verdict.ABORTED
    assert report.reason == "guard gave false"
    assert world.broken == set()
    assert [what for what in world.history if what[0] == "undo"] == [
        ("undo", "cup"),
        ("undo", "jug"),
    ]
    assert report.abort_s is not None
    assert report.abort_s < 1.0
    assert clock.monotonic() < 3.0


def test_a_patient_guard_bears_a_short_breach(host, clock, questions):
    questions["guard"] = lambda: not 2 <= clock.monotonic() < 3.5

    report = engine_of(host).run(
        experiment(injection(hold_s=6.0), probes=(probe("guard", is_guard=True, patience_s=2.0),))
    )

    assert report.verdict is Verdict.PASSED


def test_an_interrupt_ends_it_early(host, world, clock, questions):
    engine = engine_of(host)
    questions["well"] = lambda: clock.monotonic() < 5 or engine.interrupt("SIGINT") or True

    def look():
        if clock.monotonic() >= 1:
            engine.interrupt("SIGINT")
        return True

    questions["guard"] = look

    report = engine.run(
        experiment(injection(hold_s=60.0, ttl_s=90.0), probes=(probe("guard", is_guard=True),))
    )

    assert report.verdict is Verdict.ABORTED
    assert report.reason == "SIGINT"
    assert world.broken == set()


def test_the_kill_switch_ends_it_early(host, world, clock, questions):
    def look():
        if clock.monotonic() >= 1:
            (host.ledger.folder / "stop").touch()
        return True

    questions["guard"] = look

    report = engine_of(host).run(
        experiment(injection(hold_s=60.0, ttl_s=90.0), probes=(probe("guard", is_guard=True),))
    )

    assert report.verdict is Verdict.ABORTED
    assert "forbidden" in report.reason
    assert world.broken == set()


def test_faults_in_the_background_overlap_and_end_with_the_method(host, world):
    report = engine_of(host).run(
        experiment(
            injection("jug", is_background=True), injection("cup"), Pause(name="p", pause_s=2.0)
        )
    )

    assert report.verdict is Verdict.PASSED
    assert world.history == [
        ("apply", "jug"),
        ("apply", "cup"),
        ("undo", "cup"),
        ("undo", "jug"),
    ]
    assert [step.kind for step in report.steps] == ["fault", "fault", "pause"]


def test_a_step_may_wait_until_the_system_is_well_again(host, clock, questions):
    questions["well"] = lambda: not 1 <= clock.monotonic() < 4

    report = engine_of(host).run(
        experiment(injection("jug", hold_s=2.0), Settle(name="s", within_s=9.0), injection("cup"))
    )

    assert report.verdict is Verdict.PASSED
    assert [fault.applied_s for fault in report.faults] == pytest.approx([0.0, 4.0], abs=0.2)


def test_a_system_that_is_not_well_in_time_between_two_steps_has_deviated(
    host, world, clock, questions
):
    questions["well"] = lambda: clock.monotonic() < 1

    report = engine_of(host).run(
        experiment(injection("jug", hold_s=2.0), Settle(name="s", within_s=3.0), injection("cup"))
    )

    assert report.verdict is Verdict.DEVIATED
    assert ("apply", "cup") not in world.history
    assert report.steps[-1].kind == "steady"


def test_an_action_that_fails_proves_nothing_and_the_rest_goes_on(host, world, questions):
    questions["act"] = lambda: 1 / 0

    report = engine_of(host).run(experiment(action("act"), injection()))

    assert report.verdict is Verdict.INCONCLUSIVE
    assert "act failed: tests.support.chaotic.ask raised ZeroDivisionError" in report.reason
    assert ("apply", "cup") in world.history


def test_rollbacks_are_done_however_it_ended_and_one_that_fails_hinders_no_other(
    host, clock, questions
):
    done = []
    questions["guard"] = lambda: clock.monotonic() < 2
    questions["bad"] = lambda: 1 / 0
    questions["good"] = lambda: done.append(1)

    report = engine_of(host).run(
        experiment(
            injection(hold_s=60.0, ttl_s=90.0),
            probes=(probe("guard", is_guard=True),),
            rollbacks=(action("bad"), action("good")),
        )
    )

    assert report.verdict is Verdict.ABORTED
    assert done == [1]
    assert [(step.name, step.is_ok) for step in report.steps[-2:]] == [
        ("bad", False),
        ("good", None),
    ]


def test_no_rollback_where_nothing_was_begun(host, questions):
    done = []
    questions["well"] = lambda: False
    questions["good"] = lambda: done.append(1)

    engine_of(host).run(experiment(injection(), rollbacks=(action("good"),)))

    assert done == []


def test_a_toolkit_experiment_is_judged_before_its_rollbacks_and_looked_at_after(
    host, world, questions
):
    """A rollback mends what the system should have borne: that is no pass."""
    questions["break"] = lambda: world.broken.add("cup")
    questions["mend"] = world.broken.clear

    report = engine_of(host).run(
        experiment(
            action("break"),
            probes=("whole",),
            rollbacks=(action("mend"),),
            is_judged_before_rollbacks=True,
        )
    )

    assert report.verdict is Verdict.DEVIATED
    assert report.recovered_s == pytest.approx(0.0)


def test_a_toolkit_experiment_whose_rollback_does_not_mend_is_told(host, world, questions):
    questions["break"] = lambda: True
    questions["spoil"] = lambda: world.broken.add("cup")

    report = engine_of(host).run(
        experiment(
            action("break"),
            probes=("whole",),
            rollbacks=(action("spoil"),),
            is_judged_before_rollbacks=True,
        )
    )

    assert report.verdict is Verdict.DEVIATED
    assert report.recovered_s is None


def test_an_error_of_ours_in_the_middle_leaves_no_fault(host, world):
    def look(record, host):
        raise RuntimeError("a mistake")

    host.faults["table.break"].verify_active = look

    with pytest.raises(RuntimeError, match="a mistake"):
        engine_of(host).run(experiment(injection(hold_s=5.0)))
    assert world.broken == set()
    assert host.ledger.records() == ()


def test_the_report_is_plain_data(host):
    data = engine_of(host).run(experiment(injection())).as_data()

    assert data["verdict"] == "passed"
    assert data["faults"][0]["fault"] == "table.break"
    assert data["steps"][0]["kind"] == "fault"
