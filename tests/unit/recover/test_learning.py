"""What playbooks did before: their order among equals, and those that are passed over on a target."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import (
    BrainStarted,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    MaintenanceChanged,
    PlanDecided,
    PlanFinished,
    PlaybooksForgotten,
)
from resile.core.sentences import sentence
from resile.core.vocabulary import CheckState, FaultKind, Outcome, Priority, Verb
from resile.recover import BudgetSpec, SystemSpec, World
from resile.recover.facts import OpenPlan
from resile.recover.fold.learning import LESSONS_MAX
from resile.recover.learning import (
    EXPLORED_AFTER,
    ordered,
    rests_until,
    standing,
)
from resile.recover.lessons import (
    FAILURES_MIN,
    REST_S_MAX,
    TRIES_MAX,
    TRIES_MIN,
    Failing,
    Lesson,
    failing_key,
    lesson_key,
)
from resile.recover.playbook import Bound, Do, Match, Playbook, PlaybookStep, Verify
from resile.recover.playbooks import shipped

HANG = FaultKind.HANG


def book(name: str, *, priority: int = 100, **fields: Any) -> Playbook:
    step = PlaybookStep(do=Do.COMMAND, command=(name,), timeout_s=5)
    common: dict[str, Any] = {
        "why": "For tests.",
        "match": Match(faults=frozenset({HANG})),
        "steps": (step,),
        "verify": Verify(within_s=5.0),
    }
    return Playbook(name=name, priority=priority, **common | fields)


def declared(*books: Playbook, **fields: Any) -> SystemSpec:
    return replace(
        system(service("a"), checks="a.live a.ready", **fields), playbooks=(*books, *shipped())
    )


def world_with(*books: Playbook, outcomes: int = 0, **known: tuple[int, int, int]) -> World:
    """Make a world that has learned; each playbook's helped, failed and turn."""
    world = World(declared(*books))
    world.outcomes = {HANG.value: outcomes}
    for name, (helped, failed, turn) in known.items():
        world.lessons[lesson_key(name, HANG)] = Lesson(
            playbook=name, fault=HANG, version=1, helped=helped, failed=failed, turn=turn
        )
    return world


def names(world: World, *books: Playbook) -> list[str]:
    return [one.name for one in ordered(world, HANG, books)]


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(5)
    assert shell.state("a") is CheckState.UP
    return shell


def heal(shell: Shell) -> str:
    shell.programs["a"].is_hung = False
    return ""


def hang(shell: Shell, *, seconds: float = 30.0) -> None:
    shell.programs["a"].is_hung = True
    shell.run(seconds)


def fold_again(shell: Shell) -> None:
    world = World(shell.spec)
    for event in shell.journal:
        world.apply(event)
    assert world == shell.world
    assert World.restore(shell.spec, world.snapshot()) == world


# The order of equals ----------------------------------------------------------------------------


def test_what_helped_more_often_goes_before_its_equals() -> None:
    a, b = book("a"), book("b")

    assert names(world_with(a, b), b, a) == ["a", "b"]
    assert names(world_with(a, b, a=(3, 2, 1), b=(5, 0, 2)), a, b) == ["b", "a"]


def test_nothing_that_was_learned_moves_a_priority() -> None:
    first, second = book("first", priority=101), book("second")
    world = world_with(first, second, first=(0, 40, 1), second=(40, 0, 2))

    assert names(world, second, first) == ["first", "second"]


def test_few_tries_keep_the_order_of_names() -> None:
    a, b, c = book("a"), book("b"), book("c")

    assert names(world_with(a, b, a=(0, TRIES_MIN - 1, 1)), a, b) == ["a", "b"]
    assert names(world_with(a, b, c, a=(2, 2, 1), c=(4, 0, 2)), a, b, c) == ["c", "b", "a"]


def test_what_mostly_fails_comes_behind_what_nobody_knows() -> None:
    a, b = book("a"), book("b")

    assert names(world_with(a, b, a=(1, 4, 1)), a, b) == ["b", "a"]


def test_what_was_passed_over_for_long_has_its_turn_once() -> None:
    a, b = book("a"), book("b")
    world = world_with(a, b, outcomes=EXPLORED_AFTER + 3, a=(0, 3, 3), b=(20, 0, 23))
    assert names(world, a, b) == ["a", "b"]
    assert "it has its turn" in standing(world, a, HANG).why

    world = world_with(a, b, outcomes=EXPLORED_AFTER + 2, a=(0, 3, 3), b=(20, 0, 22))
    assert names(world, a, b) == ["b", "a"]


def test_another_version_begins_anew() -> None:
    a, b = book("a", version=2), book("b")
    world = world_with(a, b, a=(0, 5, 1))

    assert names(world, a, b) == ["a", "b"]
    assert standing(world, a, HANG).estimate == 0.5


def test_the_estimate_is_told_in_words() -> None:
    a, b = book("a"), book("b")
    world = world_with(a, b, a=(7, 1, 8))

    known = standing(world, a, HANG)
    assert (known.helped, known.failed, known.estimate) == (7, 1, 0.8)
    assert known.why == "helped 7 of 8 times: ranked by that among its equals"
    assert (
        standing(world, b, HANG).why
        == "was not tried yet: too few tries to tell, so it keeps its place"
    )


books_and_lessons = st.lists(
    st.tuples(
        st.sampled_from([10, 50, 100]),
        st.integers(0, TRIES_MAX // 2),
        st.integers(0, TRIES_MAX // 2),
        st.integers(0, 60),
    ),
    max_size=8,
)


@given(books_and_lessons, st.integers(0, 80), st.randoms(use_true_random=False))
def test_the_order_is_of_all_by_priority_and_does_not_hang_on_how_they_are_given(
    rows: list[tuple[int, int, int, int]], outcomes: int, rng: random.Random
) -> None:
    books = [book(f"b{index}", priority=row[0]) for index, row in enumerate(rows)]
    known = {f"b{index}": row[1:] for index, row in enumerate(rows)}
    world = world_with(*books, outcomes=outcomes, **known)

    found = ordered(world, HANG, books)

    assert sorted(one.name for one in found) == sorted(one.name for one in books)
    assert [one.priority for one in found] == sorted((b.priority for b in books), reverse=True)
    shuffled = list(books)
    rng.shuffle(shuffled)
    assert ordered(world, HANG, shuffled) == found
    for index, one in enumerate(found):
        lesson = world.lessons[lesson_key(one.name, HANG)]
        is_due = lesson.tries and outcomes - lesson.turn >= EXPLORED_AFTER
        for other in found[index + 1 :]:
            later = world.lessons[lesson_key(other.name, HANG)]
            is_compared = one.priority == other.priority and lesson.is_known and later.is_known
            if is_compared and not is_due:
                assert lesson.estimate >= later.estimate


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.integers(0, 2**32))
def test_no_playbook_is_starved_and_the_best_is_found(chances: list[float], seed: int) -> None:
    rng = random.Random(seed)
    books = [book(f"b{index}") for index in range(len(chances))]
    world = world_with(*books)
    used: list[int] = []

    for turn in range(1, 300):
        for place in [int(one.name[1:]) for one in ordered(world, HANG, books)]:
            helped = rng.random() < chances[place]
            name = f"b{place}"
            key = lesson_key(name, HANG)
            lesson = world.lessons.get(key) or Lesson(playbook=name, fault=HANG, version=1)
            turns = world.outcomes.get(HANG.value, 0) + 1
            world.outcomes[HANG.value] = turns
            world.lessons[key] = lesson.after(helped=helped, turn=turns)
            if turn > 250:
                used.append(place)
            if helped:
                break

    tried = {
        place for place, one in enumerate(books) if lesson_key(one.name, HANG) in world.lessons
    }
    for place in tried:
        lesson = world.lessons[lesson_key(f"b{place}", HANG)]
        passed = world.outcomes[HANG.value] - lesson.turn
        assert passed < EXPLORED_AFTER + len(books)
    assert all(one.tries <= TRIES_MAX for one in world.lessons.values())


@given(st.lists(st.booleans(), max_size=300))
def test_counts_are_bounded_and_the_latest_weigh_most(outcomes: list[bool]) -> None:
    lesson = Lesson(playbook="a", fault=HANG, version=1)
    for turn, helped in enumerate(outcomes):
        lesson = lesson.after(helped=helped, turn=turn)

    assert lesson.tries <= TRIES_MAX
    assert 0 < lesson.estimate < 1
    for turn in range(2 * TRIES_MAX):
        lesson = lesson.after(helped=True, turn=turn)
    assert lesson.estimate > 0.8


# What is learned from ---------------------------------------------------------------------------


def test_a_plan_that_helped_and_one_that_did_not_are_learned_from() -> None:
    shell = up(declared(book("a", attempts=1), book("b")))
    shell.commands["b"] = lambda: heal(shell)

    hang(shell)

    assert list(shell.world.lessons.values()) == [
        Lesson(playbook="a", fault=HANG, version=1, failed=1, turn=1),
        Lesson(playbook="b", fault=HANG, version=1, helped=1, turn=2),
    ]
    fold_again(shell)


def test_outcomes_move_the_order_and_the_incident_tells_it() -> None:
    a, b = book("a", attempts=1), book("b")
    shell = up(declared(a, b))
    shell.commands["b"] = lambda: heal(shell)

    for _ in range(TRIES_MIN):
        hang(shell, seconds=2000)
    assert [p.playbook for p in shell.payloads(PlanDecided)] == ["a", "b"] * TRIES_MIN
    hang(shell)

    decided = shell.payloads(PlanDecided)[-1]
    assert decided.playbook == "b"
    assert decided.why == "before a, which helped 0 of 3 times; it helped 3 of 3 times"
    told = [sentence(event) for event in shell.journal if event.kind == "plan.decided"]
    assert told[-1].endswith(f"({decided.why})")
    fold_again(shell)


def finished(shell: Shell, *, effective: bool, **fields: Any) -> World:
    """Give a world in which a plan of `a` has just come to its end."""
    world = World(shell.spec)
    world.fold(
        FaultOpened(
            fault_id="flt_1",
            fault=HANG,
            target="service/a",
            priority=Priority.P1,
            began_at=EPOCH,
            reason="",
        ),
        EPOCH,
    )
    world.plans["pln_1"] = replace(
        OpenPlan(
            plan_id="pln_1",
            fault_id="flt_1",
            playbook="a",
            target="service/a",
            attempt=1,
            steps=(),
            verify_s=1,
            stable_s=1,
            decided_at=EPOCH,
            progressed_at=EPOCH,
            done=1,
        ),
        **fields,
    )
    return world


def end(world: World, *, effective: bool) -> None:
    world.fold(
        PlanFinished(plan_id="pln_1", fault_id="flt_1", target="service/a", is_effective=effective),
        EPOCH,
    )


@pytest.mark.parametrize(
    "fields", [{"is_undo": True}, {"is_overridden": True}, {"done": 0}, {"fault_id": ""}]
)
@pytest.mark.parametrize("effective", [True, False])
def test_what_says_nothing_of_a_playbook_is_not_learned(
    fields: dict[str, Any], effective: bool
) -> None:
    world = finished(up(declared(book("a"))), effective=effective, **fields)

    end(world, effective=effective)

    assert world.lessons == world.failings == {}


def test_what_went_away_although_a_step_failed_is_not_learned() -> None:
    world = finished(up(declared(book("a"))), effective=True, error="exit code 1")

    end(world, effective=True)

    assert world.lessons == {}


def test_nothing_is_learned_of_a_target_that_was_taken_out() -> None:
    world = finished(up(declared(book("a"))), effective=False)
    world.fold(MaintenanceChanged(target="service/a", is_on=True), EPOCH)

    end(world, effective=False)

    assert world.lessons == {}


def test_lessons_are_bounded() -> None:
    world = finished(up(declared(book("a"))), effective=True)
    for index in range(LESSONS_MAX):
        world.lessons[f"old {index}"] = Lesson(playbook="old", fault=HANG, version=1)

    end(world, effective=True)

    assert len(world.lessons) == LESSONS_MAX
    assert "old 0" not in world.lessons
    assert lesson_key("a", HANG) in world.lessons


def test_what_was_learned_is_forgotten_by_name_or_as_a_whole() -> None:
    world = world_with(book("a"), book("b"), outcomes=9, a=(3, 0, 1), b=(0, 3, 2))
    world.failings[failing_key("b", "service/a")] = Failing(
        playbook="b", target="service/a", version=1, count=3, last_at=EPOCH
    )

    world.fold(PlaybooksForgotten(name="b", who="ann"), EPOCH)
    assert [one.playbook for one in world.lessons.values()] == ["a"]
    assert world.failings == {}

    world.fold(PlaybooksForgotten(), EPOCH)
    assert world.lessons == world.outcomes == {}


# Remedies that do not help ----------------------------------------------------------------------


def failing_world(count: int, **fields: Any) -> tuple[World, Playbook]:
    useless = book("a", **fields)
    world = World(declared(useless))
    world.failings[failing_key("a", "service/a")] = Failing(
        playbook="a", target="service/a", version=1, count=count, last_at=EPOCH
    )
    return world, useless


def test_the_time_for_which_one_is_passed_over_doubles_and_is_bounded() -> None:
    window_s = BudgetSpec().window_s
    rests = []
    for count in (FAILURES_MIN - 1, FAILURES_MIN, FAILURES_MIN + 1, 10_000):
        until = rests_until(*failing_world(count), "service/a")
        rests.append(None if until is None else (until - EPOCH).total_seconds())

    assert rests == [None, window_s, 2 * window_s, REST_S_MAX]


def test_what_the_restart_intensity_bounds_is_never_passed_over() -> None:
    assert rests_until(*failing_world(99, bound=Bound.INTENSITY), "service/a") is None


def test_another_version_of_it_is_not_passed_over() -> None:
    assert rests_until(*failing_world(99, version=2), "service/a") is None


def test_a_playbook_that_did_not_help_three_times_is_passed_over_on_that_target_alone() -> None:
    a, b = book("a", attempts=1), book("b", priority=90)
    shell = up(declared(a, b, budget=BudgetSpec(attempts=100, window_s=600)))
    shell.commands["b"] = lambda: heal(shell)
    for _ in range(FAILURES_MIN):
        hang(shell, seconds=20)
    before = len(shell.payloads(PlanDecided))

    hang(shell, seconds=20)

    (decided,) = shell.payloads(PlanDecided)[before:]
    assert decided.playbook == "b"
    assert decided.why == "a is passed over: it did not help 3 times in a row"
    assert rests_until(shell.world, a, "service/b") is None
    hang(shell, seconds=700)
    hang(shell, seconds=20)
    assert [p.playbook for p in shell.payloads(PlanDecided)][-2:] == ["a", "b"]
    fold_again(shell)


def test_when_all_that_fits_is_passed_over_a_person_is_called_and_told_why() -> None:
    spec = replace(
        declared(budget=BudgetSpec(attempts=100, window_s=600)), playbooks=(book("a", attempts=1),)
    )
    shell = up(spec)
    for _ in range(FAILURES_MIN):
        hang(shell, seconds=20)
        heal(shell)
        shell.run(20)
    ran = len(shell.ran)

    hang(shell, seconds=1)

    assert len(shell.ran) == ran
    last = shell.payloads(FaultEscalated)[-1]
    assert last.reason == "a is passed over: it did not help 3 times in a row"
    fold_again(shell)


@pytest.mark.parametrize("change", ["order", "maintenance", "configuration", "success"])
def test_a_change_gives_it_a_new_chance(change: str) -> None:
    world, useless = failing_world(FAILURES_MIN)
    shell = up(world.spec)
    shell.world.failings = dict(world.failings)

    if change == "order":
        shell.order(Verb.RESTART, "a")
    elif change == "maintenance":
        shell.tell(MaintenanceChanged(target="service/a", is_on=True))
        shell.tell(MaintenanceChanged(target="service/a", is_on=False))
    elif change == "configuration":
        shell.tell(BrainStarted(pid=2, guard_pid=1, release="0", config_digest="other"))
    else:
        shell.commands["a"] = lambda: heal(shell)
        shell.run(BudgetSpec().window_s)
        hang(shell)
        assert shell.payloads(FaultClosed)[-1].outcome is Outcome.RECOVERED

    assert rests_until(shell.world, useless, "service/a") is None
    assert shell.world.failings == {}


def test_the_rest_is_over_in_its_time() -> None:
    world, useless = failing_world(FAILURES_MIN)
    until = rests_until(world, useless, "service/a")

    assert until == EPOCH + timedelta(seconds=BudgetSpec().window_s)
