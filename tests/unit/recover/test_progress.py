"""How far the work on many faults is, what it waits for, when it will be over, and the alarm before it is too late."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionStarted,
    FaultClosed,
    FaultOpened,
    NoticeSent,
    ObjectiveAtRisk,
    ObjectiveMissed,
)
from resile.core.vocabulary import CheckState, FaultKind, Objective, Priority
from resile.recover import BudgetSpec, SystemSpec, World
from resile.recover.expected import certain, expected_end
from resile.recover.facts import Took
from resile.recover.fold.durations import TOOK_EACH_MAX, TOOK_MAX
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep
from resile.recover.playbooks import shipped
from resile.recover.progress import FaultProgress, Progress, progress
from resile.recover.waiting import Standing

CHAIN = system(
    service("db"), service("shop", "db", is_critical=True), checks="db.ready db.live shop.ready"
)
NOW = certain(EPOCH, "")


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(10)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


def told(shell: Shell) -> Progress:
    return progress(shell.world, shell.now)


def of(shell: Shell, name: str) -> FaultProgress:
    """Give the progress of a service's only fault."""
    (one,) = [p for p in told(shell).faults if p.turn.fault.target == f"service/{name}"]
    return one


def learn(shell: Shell, name: str, times: int = 3) -> None:
    """Let a service crash and return, and be quiet for long enough to be forgiven."""
    for _ in range(times):
        shell.crash(name, exit_code=1)
        shell.run(120)


def took(*seconds: float, playbook: str = "restart", target: str = "service/a") -> list[Took]:
    return [Took(playbook=playbook, target=target, took_s=one) for one in seconds]


def test_nothing_open_is_no_progress() -> None:
    found = told(up(CHAIN))

    assert found == Progress(faults=(), done=0, total=0, expected=None, unknown=0, places_taken=0)


def test_the_cause_comes_first_and_what_it_explains_waits_for_it() -> None:
    shell = up(CHAIN)
    shell.programs["db"].boot_s = 5.0

    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)
    shell.run(1)

    found = told(shell)
    assert [one.turn.fault.target for one in found.faults] == ["service/db", "service/shop"]
    assert [one.wait.standing for one in found.faults] == [Standing.STARTING, Standing.CAUSE]
    assert found.faults[0].why == "P1, as urgent as shop (P0), which it explains"
    assert found.faults[1].wait.what == "db must work first"
    assert [(one.done, one.total) for one in found.faults] == [(1, 2), (0, 2)]
    assert (found.done, found.total) == (1, 4)


def test_without_experience_no_end_is_expected() -> None:
    shell = up(CHAIN)
    shell.crash("db", exit_code=1)

    found = told(shell)

    assert found.unknown == 1
    assert found.expected is None


def test_the_end_is_expected_from_what_the_same_remedy_took_before() -> None:
    shell = up(CHAIN)
    learn(shell, "db")
    shell.crash("db", exit_code=1)
    began_at = shell.now

    expected = of(shell, "db").expected
    shell.run(30)

    assert expected is not None
    assert expected.samples == 3
    assert expected.earliest < expected.at < expected.latest
    assert expected.basis.startswith("restart took")
    closed = [e for e in shell.journal if isinstance(e.payload(), FaultClosed)][-1]
    assert abs((closed.at - expected.at).total_seconds()) < 1.5
    assert began_at < closed.at <= expected.latest


def test_what_waits_for_its_cause_is_expected_after_it() -> None:
    shell = up(CHAIN)
    learn(shell, "db")
    learn(shell, "shop")
    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)

    db, shop = of(shell, "db").expected, of(shell, "shop").expected
    found = told(shell)

    assert db is not None
    assert shop is not None
    assert db.at < shop.at
    assert found.expected is not None
    assert found.expected.at == shop.at


def test_what_waits_for_a_place_is_expected_when_one_is_free() -> None:
    spec = system(*(service(name) for name in "abc"), checks="a.ready b.ready c.ready")
    shell = up(replace(spec, budget=BudgetSpec(at_once=1)))
    learn(shell, "a")
    for name in "abc":
        shell.crash(name, exit_code=1)

    found = told(shell)

    assert [one.wait.standing for one in found.faults].count(Standing.PLACE) == 2
    ends = [one.expected.at for one in found.faults if one.expected is not None]
    assert len(ends) == 3
    assert ends == sorted(set(ends))


def test_a_plan_that_waits_for_a_person_has_no_expected_end() -> None:
    ask = Playbook(
        name="ask",
        why="For tests.",
        match=Match(faults=frozenset({FaultKind.CRASH})),
        steps=(PlaybookStep(do=Do.START),),
        approval=Approval.ASK,
        priority=1000,
    )
    shell = up(replace(CHAIN, playbooks=(ask, *shipped())))

    shell.crash("db", exit_code=1)

    assert of(shell, "db").wait.standing is Standing.PERSON
    assert of(shell, "db").expected is None


def test_a_symptom_that_is_gone_ends_when_it_has_stayed_so() -> None:
    shell = up(CHAIN)
    shell.crash("db", exit_code=1)
    shell.run(1.5)

    one = of(shell, "db")

    assert one.wait.standing is Standing.SETTLING
    assert one.expected is not None
    assert one.expected.samples == 0
    assert (one.expected.at - shell.now).total_seconds() <= 1.0


@pytest.mark.parametrize(
    ("before", "elapsed_s", "left_s"),
    [
        ((4.0,), 0.0, 4.0),
        ((2.0, 4.0, 9.0), 0.0, 4.0),
        ((2.0, 4.0, 9.0), 3.0, 3.5),
        ((2.0, 4.0), 1.0, 2.0),
    ],
)
def test_what_is_left_is_the_middle_of_those_that_took_longer(
    before: tuple[float, ...], elapsed_s: float, left_s: float
) -> None:
    end = expected_end(took(*before), "restart", "service/a", begins=NOW, elapsed_s=elapsed_s)

    assert end is not None
    assert (end.at - EPOCH).total_seconds() == pytest.approx(left_s)
    assert end.earliest <= end.at <= end.latest


def test_what_takes_longer_than_ever_has_no_expected_end() -> None:
    assert expected_end(took(4.0), "restart", "service/a", begins=NOW, elapsed_s=4.0) is None


def test_few_samples_are_told_as_less_sure_than_many() -> None:
    def width(count: int) -> timedelta:
        end = expected_end(took(*[4.0] * count), "restart", "service/a", begins=NOW)
        assert end is not None
        return end.latest - end.earliest

    assert width(1) > width(3) > width(20) > timedelta(0)


def test_a_remedy_that_was_never_used_here_is_expected_as_elsewhere() -> None:
    end = expected_end(took(4.0), "restart", "service/b", begins=NOW)

    assert end is not None
    assert end.basis == "restart took 4 s (median of 1)"


def test_what_is_remembered_is_bounded_and_a_checkpoint_holds_it() -> None:
    shell = up(system(service("a"), checks="a.ready"))
    learn(shell, "a", times=TOOK_EACH_MAX + 5)

    assert len(shell.world.took) == TOOK_EACH_MAX <= TOOK_MAX
    assert World.restore(shell.spec, shell.world.snapshot()).took == shell.world.took


def test_people_hear_before_an_objective_is_missed_and_when_it_is() -> None:
    shell = up(CHAIN)
    shell.programs["shop"].is_unready = True

    shell.crash("shop", exit_code=1)
    shell.run(22)
    assert not shell.payloads(ObjectiveAtRisk)
    shell.run(1)
    assert len(shell.payloads(ObjectiveAtRisk)) == 1
    shell.run(60)

    (risk,) = shell.payloads(ObjectiveAtRisk)
    (missed,) = shell.payloads(ObjectiveMissed)
    (opened,) = shell.payloads(FaultOpened)
    assert (risk.objective, risk.priority) == (Objective.RTO, Priority.P0)
    assert risk.expected_at is None
    assert risk.ends_at == missed.ends_at == opened.began_at + timedelta(seconds=30)
    transitions = [notice.transition for notice in shell.payloads(NoticeSent)]
    assert transitions == ["opened", "at_risk:1", "missed:2"]
    assert "may not recover within 30s" in shell.payloads(NoticeSent)[1].text


def test_no_alarm_is_given_for_what_is_expected_to_be_over_in_time() -> None:
    shell = up(CHAIN)
    shell.programs["shop"].boot_s = 25.0
    learn(shell, "shop")

    shell.crash("shop", exit_code=1)
    shell.run(40)

    risks = [e.at for e in shell.journal if isinstance(e.payload(), ObjectiveAtRisk)]
    assert len(risks) == 1  # The first time, when nothing told that it would be over in time.
    assert not shell.payloads(ObjectiveMissed)


def test_the_alarm_comes_late_if_only_then_the_end_turns_out_to_be_too_late() -> None:
    shell = up(CHAIN)
    shell.programs["shop"].boot_s = 24.0
    learn(shell, "shop", times=1)
    shell.programs["shop"].is_unready = True

    shell.crash("shop", exit_code=1)
    began_at = shell.now
    shell.run(40)

    risks = [e.at for e in shell.journal if isinstance(e.payload(), ObjectiveAtRisk)]
    assert 22.5 < (risks[-1] - began_at).total_seconds() < 30
    assert len(shell.payloads(ObjectiveMissed)) == 1


def test_who_was_called_already_is_not_warned() -> None:
    shell = up(system(service("a", is_critical=True), checks="a.ready"))
    shell.programs["a"].exit_after_s = 0.1

    shell.crash("a", exit_code=1)
    shell.run(300)

    assert shell.world.service("a").is_quarantined
    assert not shell.payloads(ObjectiveAtRisk)
    missed = [missed.fault_id for missed in shell.payloads(ObjectiveMissed)]
    assert len(missed) == len(set(missed)) > 0


def test_asking_changes_nothing() -> None:
    shell = up(CHAIN)
    shell.crash("db", exit_code=1)
    before = shell.world.snapshot()

    told(shell)

    assert shell.world.snapshot() == before
    assert shell.payloads(ActionStarted)


def test_the_time_in_which_a_plan_waits_is_not_learned() -> None:
    shell = up(CHAIN)
    shell.programs["db"].boot_s = 20.0

    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)
    shell.run(60)

    took = {one.target: one.took_s for one in shell.world.took}
    assert took["service/db"] > 20.0
    assert took["service/shop"] < 3.0
