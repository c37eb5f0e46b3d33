"""The commands of the store that are harmed, and what may come of each."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.comparing import compare
from tests.support.store_scenes import DATABASE, KEPT, Contents, Job, Scene
from tests.support.storing import contents

from resile.store import (
    add_parity,
    collect,
    create,
    forget,
    repair,
    replicate,
    restore_in_place,
    save_live,
    take_snapshot,
)


def _newest(scene: Scene, count: int) -> list[str]:
    return list(scene.before)[-count:]


def _no_store(scene: Scene) -> None:
    for name in KEPT:
        shutil.rmtree(scene.folder / name, ignore_errors=True)
    scene.before = {}


def _other_permissions(scene: Scene) -> None:
    """No content is new: one thread alone writes, so that each of its calls is hit."""
    with scene.opened() as store:
        name = take_snapshot(store, scene.source).snapshot.snapshot_id
        scene.before[name] = contents(store, store.find(name).root)
    (scene.source / "below" / "deep" / "small").chmod(0o640)


def _snapshot_again(scene: Scene) -> None:
    if not (scene.store / "format").exists():
        with contextlib.closing(
            create(scene.at(scene.store), cache=scene.cache / "resile" / "stores")
        ) as store:
            take_snapshot(store, scene.source)
        return
    with scene.opened() as store:
        take_snapshot(store, scene.source)


def _snapshot_told(scene: Scene, told: str) -> Iterator[str]:
    """Restore what was told; of a snapshot without a name, the newest."""
    name = told.split()[1] if told else "latest"
    with scene.opened() as store:
        if not [one for one in store.snapshots() if told == "" or one.snapshot_id.startswith(name)]:
            yield f"the snapshot {name} was told and is not there"
            return
        yield from scene.restored_faults(store, name)


def _has_told_snapshot(_scene: Scene, told: str, there: Contents) -> bool:
    return any(name.startswith(told.split()[1]) for name in there)


def _forget_again(scene: Scene) -> None:
    with scene.opened() as store:
        forget(
            store, [one for one in store.snapshots() if one.snapshot_id in list(scene.before)[:2]]
        )


def _forget_told(scene: Scene, _told: str) -> Iterator[str]:
    with scene.opened() as store:
        if len(store.snapshots()) != 1:
            yield f"{len(store.snapshots())} snapshots are there after two of three were forgotten"


def _collect_again(scene: Scene) -> None:
    with scene.opened() as store:
        collect(store, grace_s=0)


def _collect_told(scene: Scene, told: str) -> Iterator[str]:
    with scene.opened() as store:
        if not told and collect(store, grace_s=0).plan.free_bytes:
            yield "gc leaves something to free"


def _behind(scene: Scene) -> None:
    """The second store lacks a snapshot, and has two that the first has no more."""
    with scene.opened() as store:
        name = take_snapshot(store, scene.source).snapshot.snapshot_id
        scene.before[name] = contents(store, store.find(name).root)
        forget(
            store, [one for one in store.snapshots() if one.snapshot_id in list(scene.before)[:2]]
        )
        collect(store, grace_s=0)


def _replicate_again(scene: Scene) -> None:
    with scene.opened() as store:
        replicate(store, scene.at(scene.replica), is_pruned=True)


def _replicate_told(scene: Scene, _told: str) -> Iterator[str]:
    there = scene.everything(scene.replica, cache="replica-cache")
    if there != scene.everything():
        yield "the second store is not what the first one is"


def _replica_faults(scene: Scene) -> Iterator[str]:
    """Whatever happens, the second store is whole, and has what both had."""
    there = scene.everything(scene.replica, cache="replica-cache")
    for name, files in there.items():
        if files != scene.before[name]:
            yield f"the snapshot {name[:10]} of the second store is another one"
    if list(scene.before)[2] not in there:
        yield "the second store lost what both had"


def _damaged(scene: Scene) -> None:
    """A pack is cut, one is gone, and a snapshot has a flipped byte."""
    packs = sorted((scene.store / "packs").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(packs[-1], packs[-1].stat().st_size // 2)
    packs[0].unlink()
    _flip(min((scene.store / "snapshots").iterdir()))


def _damaged_pack(scene: Scene) -> None:
    """What live files still have is damaged: the newest snapshot is of the folder as it is."""
    with scene.opened() as store:
        name = take_snapshot(store, scene.source).snapshot.snapshot_id
        scene.before = {name: contents(store, store.find(name).root)}
        forget(store, [one for one in store.snapshots() if one.snapshot_id != name])
        collect(store, grace_s=0)
    _flip(max((scene.store / "packs").iterdir(), key=lambda path: path.stat().st_size))


def _damaged_beside_parity(scene: Scene) -> None:
    _forget_again(scene)
    scene.before = {name: scene.before[name] for name in _newest(scene, 1)}
    with scene.opened() as store:
        collect(store, grace_s=0)
        add_parity(store)
    for path in (scene.store / "packs").iterdir():
        _flip(path)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _repair_again(*, has_replica: bool) -> Callable[[Scene], None]:
    def again(scene: Scene) -> None:
        replicas = [scene.at(scene.replica)] if has_replica else []
        with scene.opened() as store:
            done = repair(store, replicas=replicas)
        if not done.is_whole:
            raise AssertionError(f"it cannot be mended any more: {done.mended}")

    return again


def _let_go(scene: Scene) -> None:
    """Close the database: a restore in place asks that nobody writes."""
    scene.let_go()


def _restore_again(scene: Scene) -> None:
    _live_state(scene)
    with scene.opened() as store:
        root = store.find(_newest(scene, 1)[0]).root
        save_live(store, scene.source)
        _live_state(scene)
        restore_in_place(scene.source, root, store).finish()


def _restore_told(scene: Scene, _told: str) -> Iterator[str]:
    if _live_state(scene) != "new":
        yield "the live folder is not what the snapshot is"


def _live_state(scene: Scene) -> str:
    """Tell whether the live folder is the old or the new.

    Raises:
        AssertionError: If it is a mixture, or the new without a snapshot of the old.
    """
    found = compare(scene.source, scene.folder / "template" / "source")
    differences = [one for one in found if not one.startswith((f"{DATABASE}-", ".:"))]
    if not differences:
        return "old"
    if live_contents(scene.source) != scene.before[_newest(scene, 1)[0]]:
        raise AssertionError(f"the live folder is neither the old nor the new one: {differences}")
    if scene.expected not in scene.everything().values():
        raise AssertionError("the old live folder is in no snapshot")
    return "new"


def live_contents(folder: Path) -> dict[bytes, bytes]:
    """Read every file and link of a folder, as `contents` does of a snapshot.

    Files that SQLite puts beside a database are left out.
    """
    found = {}
    for path in folder.rglob("*"):
        name = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.fsencode(path.readlink())
        elif path.is_file() and not path.name.startswith(f"{DATABASE}-"):
            found[name] = path.read_bytes()
    return found


JOBS = (
    Job(
        name="snapshot, new store",
        command="snapshot {source} --store {store}",
        arrange=_no_store,
        again=_snapshot_again,
        told=_snapshot_told,
        is_as_told=_has_told_snapshot,
    ),
    Job(
        name="snapshot",
        command="snapshot {source} --store {store}",
        again=_snapshot_again,
        told=_snapshot_told,
        is_as_told=_has_told_snapshot,
    ),
    Job(
        name="snapshot, other permissions",
        command="snapshot {source} --store {store}",
        arrange=_other_permissions,
        again=_snapshot_again,
        told=_snapshot_told,
        is_as_told=_has_told_snapshot,
    ),
    Job(
        name="forget",
        command="forget --keep last=1 --store {store}",
        again=_forget_again,
        must_stay=lambda scene: _newest(scene, 1),
        told=_forget_told,
        is_as_told=lambda _scene, _told, there: len(there) == 1,
    ),
    Job(
        name="gc",
        command="gc --store {store}",
        arrange=_forget_again,
        again=_collect_again,
        must_stay=lambda scene: _newest(scene, 1),
        told=_collect_told,
    ),
    Job(
        name="replicate --prune",
        command="replicate --to {replica} --prune --store {store}",
        arrange=_behind,
        again=_replicate_again,
        must_stay=lambda scene: _newest(scene, 2),
        at_any_time=_replica_faults,
        told=_replicate_told,
        is_as_told=lambda scene, _told, there: there.keys() == set(_newest(scene, 2)),
    ),
    Job(
        name="repair, second store",
        command="repair --from {replica} --store {store}",
        arrange=_damaged,
        again=_repair_again(has_replica=True),
        is_mending=True,
    ),
    Job(
        name="repair, live folder",
        command="repair --store {store}",
        arrange=_damaged_pack,
        again=_repair_again(has_replica=False),
        is_mending=True,
    ),
    Job(
        name="repair, parity",
        command="repair --store {store}",
        arrange=_damaged_beside_parity,
        again=_repair_again(has_replica=False),
        is_mending=True,
    ),
    Job(
        name="restore --in-place",
        command="restore {newest} --in-place --store {store}",
        arrange=_let_go,
        again=_restore_again,
        told=_restore_told,
        changes_source=True,
    ),
)
