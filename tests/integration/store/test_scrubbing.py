"""Reading a store through piece by piece: what is found, where it goes on, and what mends one file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storing import LONG_AGO_NS, contents, files_of, flip, made

from resile.errors import StoreError
from resile.store import (
    Origin,
    Repository,
    Scrub,
    mend_file,
    mend_replica,
    replicate,
    take_snapshot,
)
from resile.store.backends.local import LocalBackend
from resile.store.backends.port import Backend
from resile.store.checking import Flaw


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


@pytest.fixture
def store(tmp_path: Path, place: Path) -> Iterator[Repository]:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / f"file{number}").write_bytes(os.urandom(3000))
        os.utime(source / f"file{number}", ns=(LONG_AGO_NS, LONG_AGO_NS))
    with made(LocalBackend(place), tmp_path / "cache") as repository:
        take_snapshot(repository, source)
        (source / "file5").write_bytes(os.urandom(3000))
        take_snapshot(repository, source)
        yield repository


def through(scrub: Scrub) -> list[Flaw]:
    """Read to the end, and list what is damaged."""
    flaws: list[Flaw] = []
    while True:
        step = scrub.step()
        flaws += step.flaws
        if step.is_over:
            return flaws


def named(place: Path, path: Path) -> str:
    return str(path.relative_to(place))


def test_every_flipped_bit_is_found(store: Repository, place: Path) -> None:
    for path in files_of(place)[1:]:
        for bit in (0, path.stat().st_size * 4, path.stat().st_size * 8 - 1):
            flip(path, bit)

            flaws = through(Scrub(store.backend))

            flip(path, bit)
            assert [flaw.name for flaw in flaws] == [named(place, path)]
    assert through(Scrub(store.backend)) == []


def test_pass_goes_on_where_another_one_stopped(store: Repository, place: Path) -> None:
    seen, position = 0, ""
    while True:
        scrub = Scrub(store.backend, position=position, step_bytes=1)
        step = scrub.step()
        while step.files == 0 and not step.is_over:
            step = scrub.step()
        seen, position = seen + step.files, step.position
        if step.is_over:
            break

    assert seen == len(files_of(place)) - 1


def test_file_that_was_removed_meanwhile_is_no_flaw(store: Repository, place: Path) -> None:
    scrub = Scrub(store.backend, step_bytes=1)
    scrub.step()
    for path in files_of(place)[1:]:
        if path.parent.name == "snapshots":
            path.unlink()

    assert through(scrub) == []


class Failing:
    """A backend that fails once when it is told to."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.is_failing = False

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if self.is_failing:
            self.is_failing = False
            raise StoreError("the disk is away", is_transient=True)
        return self._backend.read(name, offset, length)

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)


def test_place_that_failed_is_read_on_where_it_was(store: Repository, place: Path) -> None:
    backend = Failing(store.backend)
    scrub = Scrub(backend, step_bytes=1)  # type: ignore[arg-type]
    files = scrub.step().files
    backend.is_failing = True
    with pytest.raises(StoreError):
        scrub.step()

    is_over = False
    while not is_over:
        step = scrub.step()
        files, is_over = files + step.files, step.is_over

    assert files == len(files_of(place)) - 1


def test_any_file_is_mended_from_a_second_store_bit_for_bit(
    store: Repository, place: Path, tmp_path: Path
) -> None:
    replica = LocalBackend(tmp_path / "replica")
    replicate(store, replica)
    for path in files_of(place)[1:]:
        before = path.read_bytes()
        flip(path, 100)

        done = mend_file(store, named(place, path), replicas=[replica])

        assert done is not None
        assert done.origin is Origin.REPLICA
        assert path.read_bytes() == before


def test_damaged_copy_is_not_taken_for_good(store: Repository, place: Path, tmp_path: Path) -> None:
    replica = LocalBackend(tmp_path / "replica")
    replicate(store, replica)
    pack = files_of(place)[1]
    flip(pack, 100)
    flip(tmp_path / "replica" / named(place, pack), 200)
    before = pack.read_bytes()

    assert mend_file(store, named(place, pack), replicas=[replica]) is None
    assert pack.read_bytes() == before


def test_snapshot_is_mended_from_the_catalog(store: Repository, place: Path) -> None:
    (path, *_) = (place / "snapshots").iterdir()
    before = path.read_bytes()
    flip(path, 100)

    done = mend_file(store, named(place, path))

    assert done is not None
    assert done.origin is Origin.CATALOG
    assert path.read_bytes() == before


def test_second_store_is_mended_from_the_first(
    store: Repository, place: Path, tmp_path: Path
) -> None:
    replica = LocalBackend(tmp_path / "replica")
    replicate(store, replica)
    name = named(place, files_of(place)[1])
    flip(tmp_path / "replica" / name, 100)

    mend_replica(replica, store, name)

    assert through(Scrub(replica)) == []
    assert len(contents(store, store.snapshots()[-1].root)) == 6
