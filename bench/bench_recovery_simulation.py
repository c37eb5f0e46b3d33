"""Whole systems through the recovery decision: seeds a second, virtual time, and the mistakes found.

The tests hold the same laws over a thousand seeds; here is what they cost and what they see.
"""

from collections import Counter
from collections.abc import Sequence
from time import process_time

from tests.simulation.recovery.mutants import MUTANTS, found_by
from tests.simulation.recovery.seeds import LARGE, Told, run_seed

SEEDS = 1000
SEEDS_OF_A_MISTAKE = 60


def main() -> None:
    print("bar | target | measured")
    began_s = process_time()
    told = [run_seed(seed) for seed in range(SEEDS)]
    took_s = process_time() - began_s
    print(f"seeds that hold every law | {SEEDS} | {len(told)}")
    print(f"processor time | <= 25 s | {took_s:.1f} s")
    print_stories(told, took_s)
    print_mistakes()


def print_stories(told: Sequence[Told], took_s: float) -> None:
    troubles = Counter(kind for story in told for kind in story.struck)
    hours = sum(story.hours for story in told)
    print(f"seeds a second | | {len(told) / took_s:.0f}")
    print(f"virtual time | hours | {hours:.0f} h, {hours / took_s:.0f} h a second")
    print(f"systems of {LARGE} services | | {sum(story.services == LARGE for story in told)}")
    print(f"troubles | | {troubles.total()} of {len(troubles)} kinds")
    print(f"faults, actions | | {total(told, 'faults')}, {total(told, 'actions')}")
    print(f"decisions asked | | {total(told, 'asked')}")


def print_mistakes() -> None:
    found = {mutant.name: found_by(mutant, range(SEEDS_OF_A_MISTAKE)) for mutant in MUTANTS}
    seen = [seed for seed in found.values() if seed is not None]
    print(f"planted mistakes found | {len(found)} | {len(seen)}")
    print(f"seeds needed, most | <= {SEEDS_OF_A_MISTAKE} | {max(seen, default=-1) + 1}")
    for name in (name for name, seed in found.items() if seed is None):
        print(f"  not found: {name}")


def total(told: Sequence[Told], field: str) -> int:
    return sum(getattr(story, field) for story in told)
