"""Policies in hostile worlds, many seeds; and the proof that these worlds find mistakes.

A failure names its seed: `simulate(WORLD, seeds=SEED, preempt=POLICIES)` shows it again.
"""

import pytest
from tests.support.policy_mutants import MUTANTS, Mutant
from tests.support.policy_task_worlds import TASKS
from tests.support.policy_thread_worlds import THREADS
from tests.support.policy_worlds import World
from tests.support.thorough import some

from resile.testing import simulate

POLICIES = ("resile.policies",)
SEEDS = range(1000)
SEEDS_A_RUN = 250
"""Of the thousand, for each of six worlds; other ones each time."""
SEEDS_OF_THREADS = range(120)
SEEDS_OF_THREADS_A_RUN = 40
"""Fewer, since each is some hundred times interrupted, and costs as much as four of the others."""


@pytest.mark.parametrize("world", TASKS)
def test_tasks_find_no_fault(world: str) -> None:
    simulate(TASKS[world], seeds=some(SEEDS, SEEDS_A_RUN))


@pytest.mark.parametrize("world", THREADS)
def test_threads_find_no_fault(world: str) -> None:
    seeds = some(SEEDS_OF_THREADS, SEEDS_OF_THREADS_A_RUN)

    simulate(THREADS[world], seeds=seeds, preempt=POLICIES)


@pytest.mark.parametrize("world", [*TASKS.values(), *THREADS.values()])
def test_a_seed_is_the_same_each_time(world: World) -> None:
    simulate(world, seeds=range(3), preempt=POLICIES)  # So that what is made once has been made.

    first, second = ([simulate(world, seeds=s, preempt=POLICIES) for s in range(3)] for _ in "ab")

    assert first == second


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
@pytest.mark.filterwarnings("ignore")
def test_a_planted_mistake_is_found(mutant: Mutant) -> None:
    with mutant.planted():
        assert finds(mutant), f"nothing noticed that {mutant.name}"


def test_there_are_enough_mutants_of_each_policy() -> None:
    modules = {mutant.module for mutant in MUTANTS}

    assert len({mutant.name for mutant in MUTANTS}) >= 40
    assert modules >= {"circuit", "breaking", "gate", "admission", "gcra", "budget", "hedging"}


def test_code_is_as_before_after_a_mutant() -> None:
    from resile.policies.circuit import Circuit

    before = Circuit.admit.__code__
    with MUTANTS[0].planted():
        assert Circuit.admit.__code__ is not before

    assert Circuit.admit.__code__ is before


def finds(mutant: Mutant) -> bool:
    """Tell whether a seed of the worlds where a mistake is planted fails."""
    return any(
        fails(world_of(name), seed)
        for seed in SEEDS
        for name in mutant.worlds
        if is_run(name, seed)
    )


def fails(world: World, seed: int) -> bool:
    try:
        simulate(world, seeds=seed, preempt=POLICIES)
    except Exception:  # noqa: BLE001 - a mistake may show as any error
        return True
    return False


def world_of(name: str) -> World:
    kind, _, world = name.partition(" ")
    return (TASKS if kind == "tasks" else THREADS)[world]


def is_run(name: str, seed: int) -> bool:
    return name.startswith("tasks") or seed in SEEDS_OF_THREADS
