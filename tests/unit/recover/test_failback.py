"""What had to wait for a dependency returns by itself when that has lasted, and does not oscillate."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    DependentReleased,
    FaultEscalated,
    FaultOpened,
    ProcessExited,
    ProcessStarted,
)
from resile.core.vocabulary import CheckState, FaultKind, Verb
from resile.recover import GroupSpec, RestartSpec, Strategy, SystemSpec, World
from resile.recover.failback import HOLD_S_MAX, RELEASE_S_MIN, RELEASES_MAX, hold_s

SPEC = system(service("db"), service("shop", "db"), checks="db.ready db.live shop.ready")


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(10)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


def starts(shell: Shell, name: str) -> list[float]:
    """Give when a service was started, in seconds since the beginning."""
    begin = shell.journal[0].at
    return [
        (event.at - begin).total_seconds()
        for event in shell.journal
        if isinstance(event.payload(), ProcessStarted) and event.subject == f"service/{name}"
    ]


def flap(shell: Shell, times: int, *, up_s: float = 4.0) -> None:
    """Let the dependency fail again and again, each time taking the shop with it if that runs."""
    for _ in range(times):
        shell.crash("db", exit_code=1)
        if "shop" in shell.running:
            shell.crash("shop", exit_code=1)
        shell.run(up_s)


def test_the_first_start_waits_for_nobody_to_prove_itself() -> None:
    shell = Shell(SPEC).begin()
    shell.run(10)

    ready = next(e.at for e in shell.journal if e.kind == "service.ready")
    assert starts(shell, "shop")[0] - (ready - shell.journal[0].at).total_seconds() < 0.1


def test_a_dependent_returns_when_its_dependency_has_lasted_for_the_stable_time() -> None:
    shell = up(SPEC)

    flap(shell, 1, up_s=20)

    back_at = starts(shell, "db")[-1] + 1.0  # Its check looks once a second.
    assert back_at + SPEC.stable_s <= starts(shell, "shop")[-1] <= back_at + SPEC.stable_s + 1.0
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_dependency_that_flaps_is_waited_for_longer_each_time() -> None:
    shell = up(SPEC)

    flap(shell, 4)
    shell.run(120)

    assert len(starts(shell, "db")) == 5
    assert len(starts(shell, "shop")) == 3, "it came back once between, and at the end"
    assert not shell.world.service("shop").is_quarantined
    assert set(shell.states().values()) == {CheckState.UP}


@pytest.mark.parametrize("count", range(9))
def test_a_hold_grows_up_to_its_bound(count: int) -> None:
    shell = up(SPEC)
    at = shell.now
    world = World(SPEC)
    world.setbacks["service/db"] = (at,) * count

    expected = [0.0, 1.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert hold_s(world, "db", at) == expected[count] <= HOLD_S_MAX


def test_old_setbacks_are_forgiven() -> None:
    shell = up(SPEC)
    flap(shell, 3)
    shell.run(700)

    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)
    shell.run(5)

    assert shell.state("shop") is CheckState.UP


def test_an_operator_that_starts_a_service_waits_for_no_proof() -> None:
    shell = up(SPEC)
    flap(shell, 4)
    assert "shop" not in shell.running

    shell.order(Verb.START, "shop")
    shell.run(0.1)

    assert "shop" in shell.running


def test_what_a_plan_starts_itself_is_not_waited_for_again() -> None:
    group = GroupSpec(name="g", services=("db", "shop"), strategy=Strategy.REST_FOR_ONE)
    shell = up(replace(SPEC, groups=(group,)))

    shell.crash("db", exit_code=1)
    shell.run(20)

    assert starts(shell, "shop")[-1] - starts(shell, "db")[-1] < 1.5
    assert set(shell.states().values()) == {CheckState.UP}


def hurt() -> SystemSpec:
    """A shop that is quarantined after two restarts."""
    restart = RestartSpec(intensity=2, period_s=60, backoff_min_s=0.01, backoff_max_s=0.02)
    return system(
        service("db"), service("shop", "db", restart=restart), checks="db.ready db.live shop.ready"
    )


def test_a_service_that_was_quarantined_for_its_dependency_is_released_when_that_is_back() -> None:
    shell = up(hurt())
    shell.programs["shop"].exit_after_s = 0.05
    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)
    shell.run(8)
    assert shell.world.service("shop").is_quarantined
    (loop,) = [f for f in shell.payloads(FaultOpened) if f.fault is FaultKind.CRASH_LOOP]
    assert loop.evidence["upstream"] == ["db"]

    shell.programs["shop"].exit_after_s = None
    shell.run(60)

    (released,) = shell.payloads(DependentReleased)
    assert released.upstream == ("db",)
    assert set(shell.states().values()) == {CheckState.UP}
    assert not shell.world.faults


def test_a_release_waits_from_the_quarantine_on_however_long_the_dependency_is_back() -> None:
    slow = RestartSpec(intensity=2, period_s=60, backoff_min_s=8, backoff_max_s=8)
    shell = up(
        replace(hurt(), services=hurt().services | {"shop": service("shop", "db", restart=slow)})
    )
    shell.programs["shop"].exit_after_s = 0.05
    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)
    shell.run(100)

    (released, *_) = [e for e in shell.journal if e.kind == DependentReleased.kind]
    loops = [e for e in shell.journal if e.kind == FaultEscalated.kind and e.at < released.at]
    assert (released.at - loops[-1].at).total_seconds() == RELEASE_S_MIN


def test_a_release_that_does_not_help_is_repeated_a_few_times_only() -> None:
    shell = up(hurt())
    shell.programs["shop"].exit_after_s = 0.05
    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)

    shell.run(900)

    assert len(shell.payloads(DependentReleased)) == RELEASES_MAX
    assert shell.world.service("shop").is_quarantined


def test_a_service_that_loops_by_itself_stays_quarantined() -> None:
    shell = up(hurt())
    shell.programs["shop"].exit_after_s = 0.05

    shell.crash("shop", exit_code=1)
    shell.run(300)

    assert shell.world.service("shop").is_quarantined
    assert not shell.payloads(DependentReleased)


def test_a_service_whose_port_was_taken_is_tried_again_and_returns_when_that_is_free() -> None:
    shell = up(hurt())
    shell.crash("shop")
    end_for_a_port(shell, "shop")
    assert shell.world.service("shop").is_quarantined
    (loop,) = [f for f in shell.payloads(FaultOpened) if f.fault is FaultKind.CRASH_LOOP]
    assert loop.evidence["cause"] == "port_taken", "the first end was by a signal"
    quarantined_at = shell.world.service("shop").quarantined_at
    assert quarantined_at is not None

    shell.run(60)

    (released,) = [e for e in shell.journal if e.kind == DependentReleased.kind]
    assert (released.at - quarantined_at).total_seconds() == RELEASE_S_MIN
    assert released.body["upstream"] == []
    assert set(shell.states().values()) == {CheckState.UP}
    assert not shell.world.faults


def test_a_port_that_stays_taken_is_tried_ever_later_and_a_few_times_only() -> None:
    shell = up(hurt())
    shell.crash("shop")
    end_for_a_port(shell, "shop")
    shell.programs["shop"].exit_after_s = 0.05

    shell.run(900)

    times = [e.at for e in shell.journal if e.kind == DependentReleased.kind]
    waits_s = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert len(times) == RELEASES_MAX
    assert 30 <= waits_s[0] < 35
    assert 90 <= waits_s[1] < 95
    assert shell.world.service("shop").is_quarantined


def end_for_a_port(shell: Shell, name: str) -> None:
    """Let a service end because its port is taken, until it is quarantined."""
    for _ in range(1000):
        if shell.world.service(name).is_quarantined:
            return
        if process := shell.running.pop(name, None):
            shell.tell(
                ProcessExited(
                    service=name,
                    generation=process.generation,
                    pid=process.pid,
                    exit_code=1,
                    cause="port_taken",
                )
            )
        shell.run(0.1)
    raise AssertionError(f"{name} was not quarantined")


def test_a_new_brain_holds_as_the_old_one_did() -> None:
    shell = up(SPEC)
    flap(shell, 3)
    shell.checkpoint()
    shell.kill_brain()
    shell.revive_brain()

    assert World.restore(SPEC, shell.world.snapshot()).setbacks == shell.world.setbacks
    before = len(starts(shell, "shop"))
    shell.run(0.5)
    assert len(starts(shell, "shop")) == before
    shell.run(60)
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_service_that_goes_down_later_waits_for_no_proof() -> None:
    shell = up(SPEC)
    for _ in range(4):
        shell.crash("db", exit_code=1)
        shell.run(4)
    before = shell.now

    shell.crash("shop", exit_code=1)
    shell.run(1)

    assert starts(shell, "shop")[-1] - (before - shell.journal[0].at).total_seconds() < 0.1
