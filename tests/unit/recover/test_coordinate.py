"""Many faults at once: whose turn it is, how many are worked on, and that nobody waits for ever."""

from dataclasses import replace

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import ActionFinished, ActionStarted, PlanDecided
from resile.core.vocabulary import ActionKind, CheckState, Priority
from resile.recover import BudgetSpec, SystemSpec, coordinate


def bounded(spec: SystemSpec, at_once: int) -> SystemSpec:
    return replace(spec, budget=BudgetSpec(at_once=at_once))


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(30)
    assert set(shell.states().values()) == {CheckState.UP}
    shell.performed.clear()
    return shell


def crash_together(shell: Shell, *names: str) -> None:
    """Let processes end so quickly one after the other that nothing is done in between."""
    shell.kill_brain()
    for name in names:
        shell.crash(name, exit_code=1)
    shell.revive_brain()


def started(shell: Shell) -> list[str]:
    return [a.target.partition("/")[2] for a in shell.performed if a.action is ActionKind.START]


def many(count: int, **options: object) -> SystemSpec:
    names = [f"s{index:02d}" for index in range(count)]
    return system(
        *(service(name, **options) for name in names), checks=" ".join(f"{n}.ready" for n in names)
    )


def most_at_work(shell: Shell) -> int:
    """Count the most starts that were under way at once, from their intent to readiness."""
    at_work, most = set[str](), 0
    for event in shell.journal:
        payload = event.payload()
        if isinstance(payload, ActionStarted) and payload.plan_id:
            at_work.add(payload.target)
        elif event.kind == "service.ready":
            at_work.discard(event.subject)
        most = max(most, len(at_work))
    return most


@pytest.mark.parametrize(("at_once", "bound"), [(1, 1), (2, 1), (4, 3), (8, 6)])
def test_no_more_remedies_are_at_work_than_there_are_places(at_once: int, bound: int) -> None:
    shell = up(bounded(many(20), at_once))

    crash_together(shell, *shell.spec.services)
    shell.run(60)

    assert most_at_work(shell) == bound
    assert set(shell.states().values()) == {CheckState.UP}
    assert len(started(shell)) == 20


def test_an_outage_may_use_every_place() -> None:
    shell = up(bounded(many(20, is_critical=True), 4))

    crash_together(shell, *shell.spec.services)
    shell.run(60)

    assert most_at_work(shell) == 4


def test_what_is_independent_is_mended_in_parallel() -> None:
    shell = up(many(5))

    crash_together(shell, *shell.spec.services)
    shell.run(0.005)

    assert len(started(shell)) == 5


def test_an_outage_goes_before_a_lesser_fault_that_began_earlier() -> None:
    spec = system(service("a"), service("z", is_critical=True), checks="a.ready z.ready")
    shell = up(bounded(spec, 1))

    crash_together(shell, "a", "z")
    shell.run(10)

    assert started(shell) == ["z", "a"]


def test_an_outage_finds_a_place_while_lesser_remedies_take_long() -> None:
    spec = system(
        *(service(name) for name in "abcd"),
        service("z", is_critical=True),
        checks="z.ready a.ready b.ready c.ready d.ready",
    )
    shell = up(bounded(spec, 2))
    for name in "abcd":
        shell.programs[name].boot_s = 50.0

    crash_together(shell, *"abcd")
    shell.run(1)
    shell.crash("z", exit_code=1)
    shell.run(3)

    assert started(shell) == ["a", "z"]
    assert shell.state("z") is CheckState.UP


def test_a_cause_is_as_urgent_as_the_outage_that_it_explains() -> None:
    spec = system(
        service("a"),
        service("db"),
        service("shop", "db", is_critical=True),
        checks="a.ready db.ready shop.ready",
    )
    shell = up(bounded(spec, 1))

    crash_together(shell, "a", "shop", "db")
    turns = coordinate.turns(shell.world)
    shell.run(10)

    assert [turn.fault.target for turn in turns] == ["service/db", "service/shop", "service/a"]
    assert [turn.urgency for turn in turns] == [Priority.P0, Priority.P0, Priority.P1]
    assert [turn.is_root for turn in turns] == [True, False, True]
    assert turns[1].causes == (turns[0].fault.fault_id,)
    assert turns[0].urged_by == turns[1].fault.fault_id
    assert started(shell)[0] == "db"
    assert set(shell.states().values()) == {CheckState.UP}


def test_the_last_place_is_not_held_by_what_waits_for_its_dependency() -> None:
    spec = system(
        *(service(name) for name in ("db", "a", "b")),
        service("c", "db", is_critical=True),
        checks="db.ready a.ready b.ready c.ready",
    )
    shell = up(bounded(spec, 1))

    crash_together(shell, "c", "a", "b", "db")
    shell.run(20)

    assert started(shell)[0] == "db"
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_start_that_fails_gives_its_place_away() -> None:
    shell = up(bounded(many(3), 1))
    shell.programs["s00"].start_error = "no such file"

    crash_together(shell, *shell.spec.services)
    shell.run(40)

    assert shell.state("s01") is CheckState.UP
    assert shell.state("s02") is CheckState.UP


def test_what_never_gets_ready_gives_its_place_away_in_its_time() -> None:
    shell = up(bounded(many(3, ready_timeout_s=10.0), 1))
    shell.programs["s00"].is_unready = True

    crash_together(shell, *shell.spec.services)
    shell.run(60)

    assert shell.state("s01") is CheckState.UP
    assert shell.state("s02") is CheckState.UP


def test_back_off_holds_no_place() -> None:
    shell = up(bounded(many(3), 1))
    shell.programs["s00"].exit_after_s = 0.1

    crash_together(shell, *shell.spec.services)
    shell.run(30)

    assert shell.state("s01") is CheckState.UP
    assert shell.state("s02") is CheckState.UP


def test_every_place_is_free_in_the_end() -> None:
    shell = up(bounded(many(6), 2))

    crash_together(shell, *shell.spec.services)
    shell.run(60)

    assert coordinate.places_taken(shell.world) == 0
    assert len(shell.payloads(PlanDecided)) == 6
    assert all(finished.is_ok for finished in shell.payloads(ActionFinished))
