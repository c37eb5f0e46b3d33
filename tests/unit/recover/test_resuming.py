"""The work on many faults goes on after the brain was killed at any step: the same end, nothing done twice."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.shell import Shell
from tests.support.systems import service, system
from tests.support.thorough import some

from resile.core.events import (
    ActionStarted,
    DependentReleased,
    Event,
    ObjectiveAtRisk,
    ObjectiveMissed,
    PlanDecided,
)
from resile.core.vocabulary import ActionKind, CheckState
from resile.recover import BudgetSpec, World, coordinate, decide
from resile.recover.progress import progress
from resile.recover.waiting import Standing

SPEC = system(
    service("db"),
    service("queue"),
    service("shop", "db", "queue", is_critical=True),
    service("page", "shop"),
    service("lonely"),
    checks="db.ready db.live queue.ready shop.ready page.ready lonely.live lonely.ready disk",
    budget=BudgetSpec(at_once=2),
)
CUTS = range(60)
"""Events after the beginning of the trouble at which the brain is killed."""
CUTS_TRIED = 15


def trouble() -> Shell:
    """A system in which four of five services fail at once, and a disk fills."""
    shell = Shell(SPEC).begin()
    shell.run(10)
    assert set(shell.states().values()) == {CheckState.UP}
    shell.kill_brain()
    for name in ("page", "db", "shop"):
        shell.crash(name, exit_code=1)
    shell.programs["lonely"].is_hung = True
    shell.system_checks_down.add("disk")
    return shell


def mend(shell: Shell) -> None:
    shell.system_checks_down.clear()
    shell.programs["lonely"].is_hung = False


def starts(shell: Shell) -> Counter[str]:
    """Count the processes that were really started, by service."""
    return Counter({name: count for name, count in shell.generations.items() if count})


def cut_at(count: int) -> tuple[Shell, bool]:
    """Kill the brain when the journal has so many more events; tell whether it came so far."""
    shell = trouble()
    shell.revive_brain()
    shell.later(4.0, lambda: mend(shell))
    end = len(shell.journal) + count
    for _ in range(400):
        if len(shell.journal) >= end:
            shell.kill_brain()
            shell.run(0.3)
            shell.revive_brain()
            shell.run(120)
            return shell, True
        shell.run(0.05)
    return shell, False


def test_the_brain_may_be_killed_at_any_event_of_the_work() -> None:
    whole, _ = cut_at(10_000)
    expected = starts(whole)
    reached = 0
    for count in some(CUTS, CUTS_TRIED):
        shell, was_cut = cut_at(count)
        reached += was_cut

        assert set(shell.states().values()) == {CheckState.UP}, count
        assert not shell.world.faults, count
        assert not shell.world.plans, count
        assert starts(shell) == expected, count
    assert reached > CUTS_TRIED // 2


def test_a_world_folded_from_any_prefix_decides_what_the_journal_holds() -> None:
    """Nothing that was decided already is decided again, and every order of the whole is followed."""
    shell, _ = cut_at(10_000)
    journal = shell.journal
    for length in range(1, len(journal) + 1):
        world = folded(journal[:length])
        decided = decide(world, journal[length - 1].at).payloads
        begun = [p for p in decided if isinstance(p, ActionStarted)]
        targets = [action.target for action in begun]

        assert not {p.action_id for p in begun} & set(world.in_flight), length
        assert not set(targets) & {a.target for a in world.in_flight.values()}, length
        assert len(targets) == len(set(targets)), length
        planned = {p.fault_id for p in decided if isinstance(p, PlanDecided)}
        assert not planned & {p.fault_id for p in world.plans.values()}, length


def folded(events: list[Event]) -> World:
    world = World(SPEC)
    for event in events:
        world.apply(event)
    return world


class ManyFaults(RuleBasedStateMachine):
    """Breaks and kills at random; what must always hold of the coordinated work is asked after each step."""

    NAMES = tuple(SPEC.services)

    @initialize()
    def begin(self) -> None:
        self.shell = Shell(SPEC).begin()
        self.shell.run(10)

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1))
    def crash(self, names: set[str]) -> None:
        for name in sorted(names & set(self.shell.running)):
            self.shell.crash(name, exit_code=1)

    @rule(name=st.sampled_from(NAMES), is_hung=st.booleans())
    def hang(self, name: str, *, is_hung: bool) -> None:
        self.shell.programs[name].is_hung = is_hung

    @rule(name=st.sampled_from(NAMES), boot_s=st.sampled_from((0.2, 3.0, 20.0)))
    def be_slow(self, name: str, boot_s: float) -> None:
        self.shell.programs[name].boot_s = boot_s

    @rule(name=st.sampled_from(NAMES), exit_after_s=st.sampled_from((None, 0.1, 5.0)))
    def crash_again_and_again(self, name: str, exit_after_s: float | None) -> None:
        self.shell.programs[name].exit_after_s = exit_after_s

    @rule(seconds=st.sampled_from((0.0, 0.1, 1.0, 7.0, 40.0)))
    def wait(self, seconds: float) -> None:
        self.shell.run(seconds)

    @precondition(lambda self: self.shell.is_brain_alive)
    @rule(is_kept=st.booleans(), seconds=st.sampled_from((0.0, 0.3, 2.0)))
    def kill_the_brain(self, *, is_kept: bool, seconds: float) -> None:
        if is_kept:
            self.shell.checkpoint()
        self.shell.kill_brain()
        self.shell.run(seconds)
        self.shell.revive_brain()

    @invariant()
    def no_more_are_at_work_than_there_are_places(self) -> None:
        world = self.shell.world
        taken = [p for p in world.plans.values() if p.fault_id and coordinate.is_at_work(world, p)]
        begun = [p for p in taken if not p.is_undo]
        assert len(begun) <= world.spec.budget.at_once

    @invariant()
    def causes_stand_before_what_they_explain(self) -> None:
        places = {}
        for place, turn in enumerate(coordinate.turns(self.shell.world)):
            places[turn.fault.fault_id] = place
            assert all(cause in places for cause in turn.causes)

    @invariant()
    def progress_is_told_of_each_fault_and_adds_up(self) -> None:
        world, now = self.shell.world, self.shell.now
        told = progress(world, now)
        assert {one.turn.fault.fault_id for one in told.faults} == set(world.faults)
        for one in told.faults:
            assert 0 <= one.done <= one.total
            assert one.wait.standing in Standing
            assert one.wait.what
            if one.expected is not None:
                assert now <= one.expected.at
                assert one.expected.earliest <= one.expected.at <= one.expected.latest
        assert told.done <= told.total

    @invariant()
    def alarms_are_told_once(self) -> None:
        for kind in (ObjectiveAtRisk, ObjectiveMissed):
            told = [alarm.fault_id for alarm in self.shell.payloads(kind)]
            assert len(told) == len(set(told))

    @invariant()
    def a_new_brain_would_stand_at_the_same_place(self) -> None:
        world = self.shell.world
        assert World.restore(SPEC, world.snapshot()) == world

    def teardown(self) -> None:
        if not hasattr(self, "shell"):
            return
        released = Counter(p.fault_id for p in self.shell.payloads(DependentReleased))
        assert all(count <= 3 for count in released.values())


ManyFaults.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestManyFaults = ManyFaults.TestCase


@pytest.mark.parametrize("action", [ActionKind.START, ActionKind.KILL])
def test_an_action_that_was_cut_is_done_again_and_no_other(action: ActionKind) -> None:
    shell = trouble()
    shell.revive_brain()
    for _ in range(400):
        in_flight = [a for a in shell.world.in_flight.values() if a.action is action]
        if in_flight:
            break
        shell.run(0.005)
    shell.kill_brain()
    before = len(shell.performed)
    shell.revive_brain()

    assert {a.action_id for a in in_flight} <= {
        a.action_id for a in (*shell.world.in_flight.values(), *shell.performed)
    }
    again = [a for a in shell.performed[before:] if a.target == in_flight[0].target]
    assert not again, "what is in flight is resumed, not begun anew"
