"""The state: what is kept over a restart, and what a new declaration does to it."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionFinished,
    BrainStopped,
    Event,
    FaultClosed,
    FaultEscalated,
    PlanDecided,
    PlanFinished,
    ProcessExited,
    ProcessStarted,
    ServiceChanged,
    Step,
)
from resile.core.vocabulary import (
    ActionKind,
    CheckState,
    FaultKind,
    Outcome,
    Phase,
    Priority,
    Verb,
)
from resile.recover import Finding, World, come_to_rest, decide

SPEC = system(service("a"), service("b", "a"), checks="a.live b.ready disk")
COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["crash", "hang", "disk", "stop", "start", "restart", "cure"]),
        st.sampled_from(["a", "b"]),
        st.floats(0, 20),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(COMMANDS)
def test_a_restored_world_is_the_same_and_decides_the_same(
    commands: list[tuple[str, str, float]],
) -> None:
    shell = Shell(SPEC).begin()
    for command, name, seconds in commands:
        act(shell, command, name)
        shell.run(seconds)

    data = json.loads(json.dumps(shell.world.snapshot()))
    twin = World.restore(SPEC, data)

    assert twin == shell.world
    assert decide(twin, shell.now) == decide(shell.world, shell.now)


def act(shell: Shell, command: str, name: str) -> None:
    if command == "crash" and name in shell.running:
        shell.crash(name)
    elif command == "hang":
        shell.programs[name].is_hung = True
    elif command == "cure":
        shell.programs[name].is_hung = False
        shell.system_checks_down.clear()
    elif command == "disk":
        shell.system_checks_down.add("disk")
    elif command in ("stop", "start", "restart"):
        shell.order(Verb(command), name)


def test_deciding_leaves_the_world_as_it_is() -> None:
    shell = Shell(SPEC).begin()
    shell.run(5)
    shell.running.pop("a")
    before = shell.world.snapshot()

    shell.kill_brain()
    decide(shell.world, shell.now)

    assert shell.world.snapshot() == before


def test_a_world_differs_from_another_state_and_from_anything_else() -> None:
    shell = Shell(SPEC).begin()
    twin = shell.world.copy()
    assert twin == shell.world

    shell.run(5)

    assert twin != shell.world
    assert twin != "a world"


def test_what_is_not_declared_any_more_is_dropped_and_its_faults_are_withdrawn() -> None:
    shell = Shell(SPEC).begin()
    shell.run(5)
    shell.system_checks_down.add("disk")
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(2)
    shell.order(Verb.RESTART, "b")
    targets = {f.target for f in shell.world.faults.values()}
    assert targets == {"service/a", "service/b", "check/disk"}

    smaller = system(service("b"), service("new"))
    world = World.restore(smaller, shell.world.snapshot())
    decision = decide(world, shell.now)

    assert set(world.services) == {"b", "new"}
    assert world.service("b") == shell.world.service("b")
    assert all(a.target in ("service/b", "service/new") for a in world.in_flight.values())
    closed = [p for p in decision.payloads if isinstance(p, FaultClosed)]
    withdrawn = {c.target for c in closed if c.outcome is Outcome.WITHDRAWN}
    assert withdrawn == {"service/a", "check/disk"}


def test_data_that_is_no_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        World.restore(SPEC, {"services": {"a": 3}})


def test_events_of_a_newer_release_change_nothing() -> None:
    world = World(SPEC)
    event = Event(
        id="e", at=EPOCH, kind="weather.changed", subject="sky", actor="x", body={"is_sunny": True}
    )

    world.apply(event)

    assert world == World(SPEC)


def test_ends_of_what_is_not_known_change_nothing() -> None:
    shell = Shell(SPEC).begin()
    shell.run(5)
    before = shell.world.snapshot()

    shell.tell(
        ActionFinished(action_id="act_x", target="service/a", is_ok=False),
        PlanFinished(plan_id="pln_x", fault_id="flt_x", target="service/a", is_effective=True),
        FaultEscalated(fault_id="flt_x", target="service/a", priority=Priority.P0, reason=""),
        FaultClosed(
            fault_id="flt_x",
            fault=FaultKind.CRASH,
            target="service/a",
            outcome=Outcome.CLEARED,
            restored_at=EPOCH,
            recovery_s=0,
            rto_s=1,
            is_within_rto=True,
        ),
    )

    assert shell.world.snapshot() == before


def test_a_plan_whose_fault_is_gone_is_finished() -> None:
    shell = Shell(SPEC).begin()
    shell.run(5)
    steps = (Step(action=ActionKind.STOP, target="service/ghost"),)

    shell.tell(
        PlanDecided(
            plan_id="pln_x",
            fault_id="flt_x",
            playbook="of a newer release",
            attempt=1,
            steps=steps,
            verify_s=1,
            stable_s=1,
            target="service/ghost",
        )
    )

    assert shell.world.plans == {}
    assert not shell.payloads(PlanFinished)[0].is_effective


def test_a_clock_that_jumps_back_stops_nothing_for_good() -> None:
    shell = Shell(SPEC).begin()
    shell.run(100)
    shell.crash("a")
    rng = random.Random(1)
    for _ in range(20):
        shell.now = EPOCH.replace(minute=rng.randint(0, 59))
        shell.settle()

    shell.now = EPOCH.replace(hour=2)
    shell.run(100)

    assert set(shell.states().values()) == {CheckState.UP}
    assert shell.world.faults == {}


def test_an_exit_is_known_even_if_its_start_was_not_told() -> None:
    world = World(SPEC)
    exited = ProcessExited(service="a", generation=3, pid=5, exit_code=1, uptime_s=60.0)

    world.fold(exited, EPOCH)

    ended = world.service("a").ended
    assert ended is not None
    assert (ended.generation, ended.is_expected) == (3, False)


def test_an_exit_of_an_older_generation_is_ignored() -> None:
    world = World(SPEC)
    world.fold(ProcessStarted(service="a", generation=4, pid=9, start_ticks=1), EPOCH)

    world.fold(ProcessExited(service="a", generation=3, pid=5, exit_code=1), EPOCH)
    assert world.service("a").pid == 9

    exited = ProcessExited(service="a", generation=4, pid=9, exit_code=1)
    world.fold(exited, EPOCH)
    before = world.snapshot()
    world.fold(exited, EPOCH + timedelta(seconds=5))
    assert world.snapshot() == before


def test_a_change_of_what_is_not_declared_is_ignored() -> None:
    world = World(SPEC)

    world.fold(
        ServiceChanged(
            service="ghost", before=CheckState.UP, after=CheckState.DOWN, phase=Phase.RUNNING
        ),
        EPOCH,
    )

    assert world == World(SPEC)


def test_decisions_that_never_come_to_rest_are_a_programmers_error() -> None:
    def restless(_world: World, _now: datetime) -> Iterator[Finding]:
        yield BrainStopped(reason="again")

    with pytest.raises(AssertionError, match="no rest after"):
        come_to_rest(World(SPEC), EPOCH, [restless])


def test_a_time_to_ask_again_is_never_in_the_past() -> None:
    def late(_world: World, now: datetime) -> Iterator[Finding]:
        yield now - timedelta(seconds=1)
        yield now
        yield now + timedelta(seconds=2)
        yield now + timedelta(seconds=1)

    decision = come_to_rest(World(SPEC), EPOCH, [late])

    assert decision.wake_at == EPOCH + timedelta(seconds=1)
