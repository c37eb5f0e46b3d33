"""Checking packs, several at once: each against itself and against the catalog."""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict

from resile.errors import SpawnError, StoreDamagedError
from resile.store.checking import Checked, Flaw, check_pack, read_table
from resile.store.elsewhere import described, reopened
from resile.store.format.packs import PackTable
from resile.store.repository import Repository
from resile.store.workers import WORKERS, Workers
from resile.store.working import Plain, Serve

SHARED_BYTES_MIN = 96 << 20
"""Of this size two processes are as quick as two threads (0.5 s); to start them takes 80 ms each."""


@contextlib.contextmanager
def checking(
    repository: Repository, packs: Mapping[str, int], *, data: bool
) -> Iterator[list["Future[Plain]"]]:
    """Have packs checked while this lasts; what is not done at its end is given up.

    `checked_of` reads the answers. A future raises StoreError if the store cannot be read for
    another reason than damage, and OperationError if a worker process ended.

    Args:
        repository: The store.
        packs: Names and sizes.
        data: Read all of them, by processes of their own if that is much: threads would wait for
            each other. Else only what each says of itself, which is little.
    """
    tasks = [(name, size, data) for name, size in sorted(packs.items())]
    is_much = data and sum(packs.values()) >= SHARED_BYTES_MIN
    workers = _workers(repository) if is_much else None
    if workers is not None:
        with workers:
            yield [workers.submit(task) for task in tasks]
        return
    with ThreadPoolExecutor(WORKERS) as threads:
        try:
            yield [threads.submit(_serving(repository), task) for task in tasks]
        finally:
            threads.shutdown(cancel_futures=True)


def checked_of(answer: Plain) -> Checked:
    """Read an answer; it has no table."""
    size_bytes, flaws = answer
    return Checked(size_bytes=size_bytes, flaws=tuple(Flaw(**flaw) for flaw in flaws))


def serve(place: Plain) -> Serve:
    """Be a worker.

    Raises:
        StoreError: If the catalog cannot be opened.
    """
    return _serving(reopened(place))


def _workers(repository: Repository) -> Workers | None:
    """Start workers; None if there can be none."""
    place = described(repository)
    if place is None:
        return None
    try:
        return Workers(f"{__name__}:serve", place)
    except SpawnError:
        return None


def _serving(repository: Repository) -> Serve:
    def work(task: Plain) -> Plain:
        name, size, data = task
        checked = _check(repository, name, size, data=data)
        return (checked.size_bytes, [asdict(flaw) for flaw in checked.flaws])

    return work


def _check(repository: Repository, name: str, size: int, *, data: bool) -> Checked:
    keys, coder, backend = repository.keys, repository.coder(), repository.backend
    if data:
        checked = check_pack(backend, name, size, keys=keys, coder=coder)
    else:
        try:
            table = read_table(backend, name, size, keys=keys, coder=coder)
            checked = Checked(size_bytes=0, table=table)
        except StoreDamagedError as exc:
            what = exc.message.removeprefix(name).strip()
            checked = Checked(size_bytes=0, flaws=(Flaw(name=name, what=what),))
    if checked.table is None:
        blobs = tuple(blob for blob, _ in repository.catalog.blobs_in(name))
        flaws = (*checked.flaws, Flaw(name=name, what="has no table that can be read", blobs=blobs))
        return Checked(size_bytes=checked.size_bytes, flaws=flaws)
    if not _agrees(repository, name, checked.table):
        what = "is known otherwise by the catalog, which `resile repair` makes anew"
        flaw = Flaw(name=name, what=what, is_of_file=False)
        return Checked(size_bytes=checked.size_bytes, flaws=(*checked.flaws, flaw))
    return checked


def _agrees(repository: Repository, name: str, table: PackTable) -> bool:
    """Compare a pack's own table with what the catalog has of it."""
    known = sorted(repository.catalog.rows_of(name))
    told = sorted(
        (blob.blob_id, table.frames[blob.frame].offset, blob.start, blob.length)
        for blob in table.blobs
    )
    return known == told
