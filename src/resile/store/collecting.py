"""Forgetting snapshots, and removing what no snapshot needs any more.

Garbage collection has two phases, so that it can never take what somebody relies on: first the
packs that nothing needs are marked; nobody relies on them from then on. After a grace time, longer
than any snapshot takes, they are asked about once more, and removed only if still nothing needs them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from resile.errors import StoreDamagedError
from resile.store.decide import GcPlan, PackUse, decide_gc
from resile.store.format.frames import FileKind, FrameKind
from resile.store.ingest import Ingest, Packer
from resile.store.marks import doomed_packs, marks, put_mark
from resile.store.model import EntryType, Mark, MarkKind, Snapshot
from resile.store.parity import drop_parity
from resile.store.repository import Repository

GRACE_S = 24 * 3600.0
"""No snapshot takes longer. On a folder a lock keeps writers out, and no time is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What garbage collection did.

    Args:
        plan: What it found.
        doomed: Packs that were marked now, and are removed after the grace time.
        removed: Packs that are gone.
        removed_bytes: Their sizes.
        spared: Packs that were marked, and are needed again.
        left_over: Half-written files of dead processes that are gone.
    """

    plan: GcPlan
    doomed: int = 0
    removed: int = 0
    removed_bytes: int = 0
    spared: int = 0
    left_over: int = 0


def forget(repository: Repository, snapshots: Iterable[Snapshot]) -> None:
    """Remove snapshots; durable when it returns. What they needed stays until `collect`.

    Raises:
        StoreError: If one could not be removed; those before it are gone.
    """
    for snapshot in snapshots:
        name = f"snapshots/{snapshot.snapshot_id}"
        repository.backend.remove(name)
        repository.catalog.drop_snapshot(name)


def protect(repository: Repository, snapshot: Snapshot) -> None:
    """Have a snapshot kept whatever `forget` is told; durable when it returns. Idempotent."""
    if not _protections(repository, snapshot):
        put_mark(
            repository,
            Mark(
                kind=MarkKind.PROTECTED,
                created_at=repository.clock.now(),
                snapshot=snapshot.snapshot_id,
            ),
        )


def unprotect(repository: Repository, snapshot: Snapshot) -> None:
    """Take that back. Idempotent."""
    for mark in _protections(repository, snapshot):
        repository.backend.remove(mark.name)


def needed_blobs(repository: Repository) -> set[bytes]:
    """List every blob that a snapshot needs.

    Raises:
        StoreDamagedError: If a snapshot or a folder cannot be read: what it needs is unknown.
    """
    _check_snapshots(repository)
    needed: set[bytes] = set()
    for snapshot in repository.snapshots():
        _add_tree(repository, snapshot.root.tree, needed)
    return needed


def collect(
    repository: Repository,
    *,
    grace_s: float = GRACE_S,
    is_dry: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Mark what nothing needs, and remove what was marked long enough ago. Idempotent.

    Args:
        repository: The store; its catalog must be in step.
        grace_s: Between the mark and the removal. On a folder 0 is safe: while it works,
            nobody else writes. In a bucket it must be longer than any snapshot takes.
        is_dry: Only tell.
        on_progress: Is told the packs and bytes that are written anew.

    Raises:
        StoreDamagedError: If what is needed cannot be told; nothing is removed.
        StoreError: If another process works on the store, or it fails.
    """
    with repository.backend.hold(is_exclusive=True):
        repository.refresh()
        plan = decide_gc(_uses(repository, leaving=doomed_packs(repository)))
        if is_dry:
            return Collected(plan=plan)
        swept = repository.backend.sweep()
        _repack(repository, plan.repacked, on_progress)
        unneeded = _unneeded(repository, plan)
        doomed = _doom(repository, unneeded)
        done = _remove_doomed(repository, unneeded, grace_s)
        drop_parity(repository)
        return replace(done, plan=plan, doomed=doomed, left_over=swept)


def _check_snapshots(repository: Repository) -> None:
    known = repository.catalog.snapshots().keys()
    for file in repository.backend.list("snapshots"):
        if file.name not in known:
            raise StoreDamagedError(
                f"{file.name} cannot be read, so what it needs is unknown; nothing was removed",
                name=file.name,
                hint="mend it first: resile repair",
            )


def _add_tree(repository: Repository, tree_id: bytes, needed: set[bytes]) -> None:
    """Add a folder and all it needs; one that is in already was walked through."""
    waiting = [tree_id]
    while waiting:
        tree_id = waiting.pop()
        if tree_id in needed:
            continue
        needed.add(tree_id)
        entries, parts = repository.tree_with_parts(tree_id)
        needed.update(parts)
        for entry in entries:
            if entry.type is EntryType.FOLDER:
                waiting.append(entry.tree)
            elif entry.chunks:
                needed.update(entry.chunks)
            elif entry.lists:
                needed.update(entry.lists)
                needed.update(repository.chunks(entry))


def _uses(repository: Repository, leaving: frozenset[str]) -> dict[str, PackUse]:
    """Tell of each pack how much is needed; of a blob that stands in several, one counts.

    The packs that are `leaving` count last: what they hold may stand elsewhere by now.
    """
    needed = needed_blobs(repository)
    counted: set[bytes] = set()
    uses = {}
    packs = repository.catalog.packs()
    for name in sorted(packs, key=lambda name: (name in leaving, name)):
        blobs = repository.catalog.blobs_in(name)
        mine = {
            blob_id: length
            for blob_id, length in blobs
            if blob_id in needed and blob_id not in counted
        }
        counted.update(mine)
        uses[name] = PackUse(
            size_bytes=packs[name],
            blob_bytes=sum(length for _, length in blobs),
            needed_bytes=sum(mine.values()) or (len(mine) and 1),
        )
    return uses


def _unneeded(repository: Repository, plan: GcPlan) -> list[str]:
    leaving = doomed_packs(repository) | frozenset(plan.repacked)
    return list(decide_gc(_uses(repository, leaving), repack_share=1.0).unneeded)


def _repack(
    repository: Repository,
    names: Iterable[str],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Store the needed blobs of these packs again; then nothing needs the packs."""
    doomed = frozenset(names)
    if not doomed:
        return
    needed = needed_blobs(repository)
    ingest = Ingest(repository, doomed=doomed | doomed_packs(repository))
    packers = {
        FrameKind.DATA: Packer(ingest, FileKind.DATA_PACK),
        FrameKind.TREE: Packer(ingest, FileKind.TREE_PACK),
    }
    try:
        for done, name in enumerate(sorted(doomed), start=1):
            for blob_id, kind in repository.catalog.kinds_in(name):
                if blob_id in needed:
                    packers[kind].put(repository.read_blob(blob_id))
            if on_progress is not None:
                on_progress(done, ingest.new_bytes)
        for packer in packers.values():
            packer.finish()
    finally:
        for packer in packers.values():
            packer.abandon()


def _doom(repository: Repository, unneeded: list[str]) -> int:
    fresh = sorted(set(unneeded) - doomed_packs(repository))
    if fresh:
        put_mark(
            repository,
            Mark(kind=MarkKind.DOOMED, created_at=repository.clock.now(), packs=tuple(fresh)),
        )
    return len(fresh)


def _remove_doomed(repository: Repository, unneeded: list[str], grace_s: float) -> Collected:
    """Remove the packs of old marks that nothing needs, and then the marks."""
    now = repository.clock.now()
    sizes = repository.catalog.packs()
    removed = removed_bytes = spared = 0
    for mark in marks(repository, MarkKind.DOOMED):
        if (now - mark.created_at).total_seconds() < grace_s or mark.created_at > now:
            continue
        for pack in mark.packs:
            if pack not in sizes:
                continue
            if pack not in unneeded:
                spared += 1
                continue
            repository.catalog.drop_pack(pack)
            repository.backend.remove(pack)
            removed += 1
            removed_bytes += sizes.pop(pack)
        repository.backend.remove(mark.name)
    return Collected(
        plan=GcPlan(unneeded=(), repacked=(), free_bytes=0),
        removed=removed,
        removed_bytes=removed_bytes,
        spared=spared,
    )


def _protections(repository: Repository, snapshot: Snapshot) -> list[Mark]:
    found = marks(repository, MarkKind.PROTECTED)
    return [mark for mark in found if mark.snapshot == snapshot.snapshot_id]
