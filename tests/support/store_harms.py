"""Harms the commands of the store at each of their system calls, by strace, and counts what is wrong then."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.support.images import DiskImage
from tests.support.store_jobs import JOBS
from tests.support.store_scenes import Job, Scene
from tests.support.store_states import States, try_states
from tests.support.syscalls import KILL, Call, escaped, kill_at_each_syscall

from resile.errors import ResileError

_STORES = ("store", "replica")
_FAILING = re.compile(r"p?write|fsync|fdatasync|rename|link|unlink|mkdir|ftruncate")


class Harm(Enum):
    """What happens at a call."""

    KILL = KILL
    EIO = "error=EIO"
    ENOSPC = "error=ENOSPC"
    LIE = "retval"
    """The call claims that it has written everything, and has not."""


@dataclass(frozen=True, kw_only=True)
class Harmed:
    """What came of it.

    Args:
        rounds: So many calls were harmed.
        told: In so many the command was killed, or failed.
        faults: What was wrong afterwards, a sentence for each round.
    """

    rounds: int
    told: int
    faults: tuple[str, ...]


def job_named(name: str) -> Job:
    return next(job for job in JOBS if job.name == name)


def harm_everywhere(folder: Path, job: Job, harm: Harm, *, every: int = 1) -> Harmed:
    """Run a command once for each of its calls that change files of the store or its catalog.

    Args:
        folder: A new folder, gone afterwards.
        job: The command.
        harm: What happens at the call; a lie only where a file of a store is written.
        every: Each so-manieth call alone is harmed. Default 1: all of them.
    """
    scene = Scene(folder, job)
    try:
        is_mute = harm is not Harm.KILL
        return _tally(
            scene, _chosen(scene, harm, every), lambda code: scene.faults(code, is_mute=is_mute)
        )
    finally:
        scene.close()


def cut_power_everywhere(folder: Path, job: Job, *, every: int = 1) -> Harmed:
    """Cut the power at each call of a command that changes a store, all of it on one disk.

    The command is killed there, and the disk is copied before the kernel has written what was not
    synced. Arguments as above.
    """
    folder.mkdir()
    image = DiskImage(folder)
    scene = Scene(image.root / "scene", job)

    def prepare() -> None:
        scene.fresh()
        image.sync()

    def faults(_: int) -> list[str]:
        with image.cut() as root:
            return list(_cut_faults(scene, root / "scene"))

    try:
        chosen = _chosen(scene, Harm.KILL, every, places=_STORES)
        return _tally(scene, chosen, faults, prepare=prepare)
    finally:
        scene.close()
        image.close()


def try_job_states(
    folder: Path, job: Job, *, states_max: int, write_bytes_max: int, seed: int = 0
) -> States:
    """Look at what a power cut may leave of the store, or of the second one where that is changed.

    Args:
        folder: A new folder, gone afterwards.
        job: The command.
        states_max, write_bytes_max, seed: As `try_states` takes them.
    """
    scene = Scene(folder, job)
    try:
        must_stay = list(scene.before) if job.is_mending else job.must_stay(scene)
        place = scene.changed
        if place == scene.replica:
            must_stay = must_stay[:1]  # The newest has not come yet.
        return try_states(
            scene,
            place,
            must_stay=must_stay,
            states_max=states_max,
            write_bytes_max=write_bytes_max,
            seed=seed,
        )
    finally:
        scene.close()


def _tally(
    scene: Scene,
    chosen: Callable[[Call], str],
    faults: Callable[[int], list[str]],
    *,
    prepare: Callable[[], None] | None = None,
) -> Harmed:
    found: list[str] = []

    def is_right(exit_code: int) -> bool:
        faults_now = faults(exit_code)
        found.extend(faults_now[:1])
        return not faults_now

    rounds = list(
        kill_at_each_syscall(
            scene.argv,
            prepare=prepare or scene.fresh,
            check=is_right,
            begin=str(scene.folder),
            environ=scene.environ,
            harm=chosen,
        )
    )
    told = sum(each.exit_code != 0 for each in rounds)
    return Harmed(rounds=len(rounds), told=told, faults=tuple(found))


def _chosen(
    scene: Scene, harm: Harm, every: int, *, places: tuple[str, ...] = ()
) -> Callable[[Call], str]:
    """Say which calls are harmed, and how."""
    if harm is Harm.LIE:
        places = _STORES
    folders = [scene.folder / place for place in places] or [scene.folder]
    texts = [escaped(folder) for folder in folders]
    count = 0

    def choose(call: Call) -> str:
        nonlocal count
        is_ours = any(text in call.arguments for text in texts)
        if not is_ours or (harm is Harm.LIE and call.name != "write"):
            return ""
        if harm in (Harm.EIO, Harm.ENOSPC) and not _FAILING.match(call.name):
            return ""
        count += 1
        # From the middle on: a short command is harmed, too.
        if (count + every // 2) % every:
            return ""
        return f"retval={call.result}" if harm is Harm.LIE else harm.value

    return choose


def _cut_faults(scene: Scene, root: Path) -> Iterator[str]:
    """Tell what is wrong with the files that a power cut left."""
    place = root / scene.changed.name
    told = scene.told
    if not (place / "format").exists():
        if scene.before or told:
            yield "there is no store any more"
        return
    try:
        there = scene.everything(place, cache=str(root / "cache" / "resile" / "stores"))
    except (ResileError, AssertionError) as exc:
        yield f"{exc}"
        return
    for name, files in there.items():
        if files != scene.before.get(name, scene.expected):
            yield f"the snapshot {name[:10]} is a mixture"
    if told and not scene.job.is_as_told(scene, told, there):
        yield "what was told is not there"
    must_stay = scene.job.must_stay(scene)
    if missing := [name for name in must_stay if name not in there and place.name == "store"]:
        yield f"{len(missing)} snapshots are gone"
