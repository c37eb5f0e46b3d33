"""A place that does not keep what is written to it: nothing relies on it, and the next try is whole."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.storing import contents, made, opened

from resile.errors import StoreDamagedError
from resile.store import protect, protected, replicate, take_snapshot, verify
from resile.store.backends.memory import MemoryBackend
from resile.testing.backend import FaultyBackend


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 5000)
    (folder / "below" / "b").write_bytes(bytes(range(256)) * 20)
    return folder


def in_quarantine(backend: MemoryBackend) -> list[str]:
    return [file.name for file in backend.list("quarantine")]


def refusal(use: Callable[[], object]) -> StoreDamagedError | None:
    try:
        use()
    except StoreDamagedError as exc:
        return exc
    return None


def test_a_snapshot_relies_on_nothing_that_was_not_kept(source: Path, tmp_path: Path) -> None:
    """Of the data, of a folder, or of its own record: whichever write was a lie."""
    wanted = {b"a": b"a" * 5000, b"below/b": bytes(range(256)) * 20}
    lies = 0
    for number in itertools.count(1):
        place = MemoryBackend()
        with made(place, tmp_path / f"{number}"):
            pass
        liar = FaultyBackend(place, lie_at=number)
        with opened(liar, tmp_path / f"{number}") as store:
            if number > len(liar.calls):
                error = refusal(lambda store=store: take_snapshot(store, source))  # type: ignore[misc]
                if error is not None:
                    lies += 1
                    assert "does not keep what is written to it" in error.message
                    assert error.name.startswith(("packs/", "snapshots/"))
                    assert "smartctl" in error.hint
                    assert len(in_quarantine(place)) == 1
                    assert store.snapshots() == []

        with opened(place, tmp_path / f"{number}") as store:
            assert verify(store, data=True).is_sound
            taken = take_snapshot(store, source)
            assert verify(store, data=True).is_sound
            assert contents(store, taken.snapshot.root) == wanted
        if number > len(liar.calls):
            break
    assert lies >= 6


def test_a_name_that_is_taken_by_damage_is_freed(source: Path, tmp_path: Path) -> None:
    """The same file was copied before, and has rotted: the copy that is whole takes its place."""
    target = MemoryBackend()
    with made(MemoryBackend(), tmp_path / "cache") as store:
        take_snapshot(store, source)
        (pack, *_) = sorted(file.name for file in store.backend.list("packs"))
        target.insert("format", store.backend.read("format"))
        real = target.list
        target.insert(pack, b"rotten")
        hidden = {pack}
        target.list = lambda folder: iter(  # type: ignore[method-assign]
            [file for file in real(folder) if file.name not in hidden]
        )

        with pytest.raises(StoreDamagedError, match="does not keep"):
            replicate(store, target)
        assert list(target.list("snapshots")) == []
        hidden.clear()
        replicate(store, target)

    with opened(target, tmp_path / "second") as second:
        assert verify(second, data=True).is_sound


def test_a_second_store_has_no_snapshot_whose_packs_it_did_not_keep(
    source: Path, tmp_path: Path
) -> None:
    with made(MemoryBackend(), tmp_path / "cache") as store:
        take_snapshot(store, source)
        lies = 0
        for number in itertools.count(1):
            target = MemoryBackend()
            liar = FaultyBackend(target, lie_at=number)
            if error := refusal(lambda liar=liar: replicate(store, liar)):  # type: ignore[misc]
                lies += "does not keep" in error.message
                assert list(target.list("snapshots")) == []
            if number > len(liar.calls):
                break
            if list(target.list("format")):
                replicate(store, target)
                with opened(target, tmp_path / f"{number}") as second:
                    assert verify(second, data=True).is_sound
    assert lies >= 3


def test_a_protection_that_was_not_kept_is_not_acknowledged(source: Path, tmp_path: Path) -> None:
    place = MemoryBackend()
    with made(place, tmp_path / "cache") as store:
        snapshot = take_snapshot(store, source).snapshot
    for lie_at in range(1, 20):
        with opened(FaultyBackend(place, lie_at=lie_at), tmp_path / "cache") as store:
            error = refusal(lambda store=store: protect(store, snapshot))  # type: ignore[misc]
            if error is not None:
                assert error.name.startswith("marks/")
                assert protected(store) == frozenset()
                break
            place.remove(next(iter(place.list("marks"))).name)
    else:
        pytest.fail("no write was a lie")


def test_a_place_that_compares_sums_itself_is_not_read(source: Path, tmp_path: Path) -> None:
    place = FaultyBackend(Trusted())
    with made(place, tmp_path / "cache") as store:
        take_snapshot(store, source)

    assert [call for call in place.calls if call.startswith("read packs")] == []


class Trusted(MemoryBackend):
    @property
    def is_read_back(self) -> bool:
        return False
