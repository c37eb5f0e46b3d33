"""Enumerates what a disk may hold after a power cut: the states that un-synced effects allow.

A program's effects are recorded once (`tests.support.effects`), then each legal state is made and
handed to what recovers:

    effects = trace_effects([sys.executable, "-c", VICTIM, str(root)], root)
    for state in crash_states(effects, start=read_tree(start)):
        state.write_to(place)               # or look at `state.tree`, in memory
        recover(place)
        assert content(place) in (OLD, NEW), state
        assert content(place) == NEW or "acknowledged" not in state.notes

What may happen, between any two effects:

- Bytes that were not synced are there, are not, are zeros (the length came, the bytes did not), or
  only a first part of them is. Each write by itself, in any order.
- A name that was made, moved or removed may be back as it was until its folder is synced; each one by
  itself, in any order, but those of one name in their order. Syncing a file does not keep its name.
- A move is whole: from one folder into another too, as with every file system that has a journal. A sync of either
  folder keeps it.
- A folder whose own name was lost is lost with all that is in it, synced or not.

Permissions, owners and times are no part of it. Source: the idea is that of ALICE,
https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai
"""

import itertools
import math
import os
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.disks import Choice, Disk, Effect, Fate, Note, Tree

STATES_MAX = 10_000
TRIES_PER_STATE = 4
"""Chance often finds a state again; this ends the search where hardly any new one is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashState:
    """What a disk may hold.

    Args:
        after: How many effects had been done when the power went.
        notes: What had been told by then.
        tree: The files and folders.
    """

    after: int
    notes: tuple[str, ...]
    tree: Tree

    def write_to(self, folder: Path) -> None:
        """Make it in a folder, which is emptied before."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in sorted(self.tree.items()):
            if content is None:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(content)


def read_tree(folder: Path) -> Tree:
    """Read what a folder holds; links and special files are refused."""
    found: Tree = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise AssertionError(f"{path} is neither a file nor a folder")
        name = os.fsdecode(path.relative_to(folder))
        found[name] = None if path.is_dir() else path.read_bytes()
    return found


def crash_states(
    effects: Sequence[Effect],
    *,
    start: Mapping[str, bytes | None] | None = None,
    seed: int = 0,
    states_max: int = STATES_MAX,
) -> Iterator[CrashState]:
    """Give states that a power cut may leave, each once; all of them if they are not too many.

    First come, at each point, nothing and all of what is pending; then those that find most faults:
    all but one, only one, one torn, a first part; then all others. Where they would be too many,
    chance chooses.

    Args:
        effects: What was done, in order.
        start: What was there before, durable. Default: an empty folder.
        seed: Of chance. The same one gives the same states.
        states_max: How many states to give at the most.
    """
    disk = Disk(effects, start or {})
    seen: set[int] = set()
    for after, choice in _choices(disk, len(effects), random.Random(seed), states_max):
        if len(seen) == states_max:
            return
        tree = disk.tree(after, choice)
        notes = tuple(effect.text for effect in effects[:after] if isinstance(effect, Note))
        key = hash((frozenset(tree.items()), notes))
        if key not in seen:
            seen.add(key)
            yield CrashState(after=after, notes=notes, tree=tree)


def _choices(
    disk: Disk, effects: int, chance: random.Random, states_max: int
) -> Iterator[tuple[int, Choice]]:
    points = [(after, disk.pending(after)) for after in range(effects + 1)]
    for after, pending in points:
        yield after, dict.fromkeys(pending, Fate.LOST)
        yield after, {}
    yield from _telling_choices(disk, points, chance, states_max // 2)
    fates = {number: change.fates for number, change in enumerate(disk.changes)}
    total = sum(math.prod(len(fates[number]) for number in pending) for _, pending in points)
    if total <= states_max * TRIES_PER_STATE:
        for after, pending in points:
            for chosen in itertools.product(*(fates[number] for number in pending)):
                yield after, dict(zip(pending, chosen, strict=True))
        return
    weights = [len(pending) for _, pending in points]
    for _ in range(states_max * TRIES_PER_STATE):
        after, pending = chance.choices(points, weights)[0]
        kept = chance.random()
        yield after, {n: chance.choice(fates[n]) for n in pending if chance.random() > kept}


def _telling_choices(
    disk: Disk,
    points: list[tuple[int, list[int]]],
    chance: random.Random,
    choices_max: int,
) -> Iterator[tuple[int, Choice]]:
    """Give the choices that find most faults, or some of them, so that each point has its share."""
    places = [
        (point, at) for point, (_, pending) in enumerate(points) for at in range(len(pending))
    ]
    chance.shuffle(places)
    count = 0
    for point, at in places:
        after, pending = points[point]
        for choice in _telling(disk, pending, at):
            yield after, choice
            count += 1
        if count >= choices_max:
            return


def _telling(disk: Disk, pending: list[int], at: int) -> Iterator[Choice]:
    """Single one change out: it alone is lost or torn, it alone is there, all from it on is lost."""
    number = pending[at]
    lost = dict.fromkeys(pending, Fate.LOST)
    for fate in disk.changes[number].fates[1:]:
        yield {number: fate}
        yield {**lost, number: fate}
    yield {**lost, number: Fate.KEPT}
    yield dict.fromkeys(pending[at:], Fate.LOST)
