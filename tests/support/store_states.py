"""What a power cut may leave of a store that a command works on, and whether all of it is whole.

The effects of the command are recorded once, then each state of the disk that un-synced effects
allow is made in memory and looked at. States that differ only in `tmp/`, which nothing reads, are looked
at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.crashes import CrashState, crash_states, read_tree
from tests.support.disks import Effect, Note, Tree
from tests.support.effects import RecordingDisk, trace_effects
from tests.support.store_scenes import Contents, Scene
from tests.support.storing import contents, opened

from resile.errors import NotAStoreError, ResileError
from resile.store import repair, verify
from resile.store.backends.disk import SYSTEM_DISK
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.backends.names import is_name

ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, kw_only=True)
class States:
    """What came of all states.

    Args:
        states: So many different ones.
        seen: So many that differ in what a reader sees.
        faults: What was wrong, a sentence for each.
    """

    states: int
    seen: int
    faults: tuple[str, ...]


def try_states(
    scene: Scene,
    place: Path,
    *,
    must_stay: Sequence[str],
    states_max: int,
    write_bytes_max: int,
    seed: int = 0,
) -> States:
    """Run the scene's command once, and look at what a power cut may leave of a place at any moment.

    Args:
        scene: Whose command, whole.
        place: What it changes: the store, or the second one.
        must_stay: Snapshots that are there whatever happens.
        states_max: So many states at the most.
        write_bytes_max: How much a write takes at once, in this process; 0: the command runs as it is
            used, and its system calls are recorded.
        seed: Of chance.
    """
    scene.fresh()
    start = read_tree(place) if place.exists() else {}
    place.mkdir(exist_ok=True)
    effects = [*effects_of(scene, place, write_bytes_max=write_bytes_max), Note(ACKNOWLEDGED)]
    catalogs = scene.folder / "catalogs"
    after = _whole(MemoryBackend(), read_tree(place), scene, catalogs / "after")
    verdicts: dict[int, str] = {}
    states = 0
    for state in crash_states(effects, start=start, seed=seed, states_max=states_max):
        states += 1
        files = {name: data for name, data in state.tree.items() if data is not None}
        seen = frozenset((name, data) for name, data in files.items() if is_name(name))
        key = hash((seen, bool(state.notes)))
        if key not in verdicts:
            found = list(_faults(state, scene, must_stay, after, catalogs / f"{len(verdicts) % 3}"))
            verdicts[key] = f"after {state.after} effects: {found}" if found else ""
    return States(states=states, seen=len(verdicts), faults=tuple(filter(None, verdicts.values())))


def effects_of(scene: Scene, place: Path, *, write_bytes_max: int) -> list[Effect]:
    """Do what the scene's command does, and give what that changes in a folder."""
    if not write_bytes_max:
        return trace_effects(scene.argv, place, environ=scene.environ)
    disk = RecordingDisk(place, write_bytes_max=write_bytes_max)
    scene.disk = disk
    try:
        scene.job.again(scene)
    finally:
        scene.disk = SYSTEM_DISK
    return disk.effects


def _faults(
    state: CrashState, scene: Scene, must_stay: Sequence[str], after: Contents, cache: Path
) -> Iterator[str]:
    """Look at a state, with a catalog that other states have left out of step."""
    backend = MemoryBackend()
    try:
        there = _whole(backend, state.tree, scene, cache)
    except NotAStoreError:
        if state.notes or scene.before:
            yield "there is no store any more"
        return
    except (ResileError, AssertionError) as exc:
        yield f"{exc}"
        return
    for name, files in there.items():
        if files != scene.before.get(name, scene.expected):
            yield f"the snapshot {name[:10]} is a mixture"
    if missing := [name for name in must_stay if name not in there]:
        yield f"{len(missing)} snapshots are gone"
    if state.notes and there != after:
        yield "it is not what was acknowledged"


def _whole(backend: MemoryBackend, tree: Tree, scene: Scene, cache: Path) -> Contents:
    """Read all that is in a state; of a damaged store, when it is mended.

    Raises:
        AssertionError: If something is damaged, or lost.
    """
    for name, data in tree.items():
        if data is not None and is_name(name):
            backend.insert(name, data)
    with opened(backend, cache) as store:
        if scene.job.is_mending:
            done = repair(store, replicas=[LocalBackend(scene.replica)])
            if not done.is_whole:
                raise AssertionError(f"it cannot be mended any more: {done.mended}")
        found = verify(store, data=True)
        if not found.is_sound:
            raise AssertionError(f"{[flaw.what for flaw in found.flaws][:3]}")
        return {one.snapshot_id: contents(store, one.root) for one in store.snapshots()}
