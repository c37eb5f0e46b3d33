"""A second store that is kept in step, whatever others do to the first, and whatever that has lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.store import test_damage as damage
from tests.support.storing import flip, made, opened

from resile.errors import RejectedError
from resile.store import (
    Repository,
    collect,
    forget,
    protected,
    repair,
    replicate,
    take_snapshot,
    verify,
)
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.backends.port import StoredFile

source, place, store, replica = damage.source, damage.place, damage.store, damage.replica


def test_a_second_store_is_a_whole_store(
    store: Repository, replica: LocalBackend, tmp_path: Path
) -> None:
    with opened(replica, tmp_path / "elsewhere") as second:
        assert verify(second, data=True).is_sound
        assert damage.everything(second) == damage.everything(store)
        assert protected(second) == protected(store)
    assert replicate(store, replica).copied == 0


class Busy(MemoryBackend):
    """Somebody takes a snapshot just when the packs were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.after_packs: object = None

    def list(self, folder: str) -> Iterator[StoredFile]:
        found = super().list(folder)
        if folder == "packs" and self.after_packs is not None:
            action, self.after_packs = self.after_packs, None
            action()  # type: ignore[operator]
        return found


def test_no_snapshot_is_copied_without_its_packs(source: Path, tmp_path: Path) -> None:
    backend, target = Busy(), MemoryBackend()
    with made(backend, tmp_path / "cache") as store:
        take_snapshot(store, source)
        (source / "new").write_bytes(b"new")
        backend.after_packs = lambda: take_snapshot(store, source)
        replicate(store, target)

    with opened(target, tmp_path / "elsewhere") as second:
        assert verify(second, data=True).is_sound


def test_damage_does_not_spread(store: Repository, place: Path, tmp_path: Path) -> None:
    path = damage.pack_with(store, "data")
    flip(path, 8 * 115)
    target = MemoryBackend()

    done = replicate(store, target)

    assert [flaw.name for flaw in done.flaws] == [f"packs/{path.name}"]
    assert f"packs/{path.name}" not in {file.name for file in target.list("packs")}


def test_pruning_removes_what_the_first_store_has_no_more(
    store: Repository, replica: LocalBackend, tmp_path: Path
) -> None:
    forget(store, store.snapshots()[:1])
    collect(store, grace_s=0)

    assert replicate(store, replica).removed == 0
    assert replicate(store, replica, is_pruned=True).removed > 0
    with opened(replica, tmp_path / "elsewhere") as second:
        assert damage.everything(second) == damage.everything(store)
        assert verify(second, data=True).is_sound


def test_pruning_never_takes_the_only_good_copy(
    store: Repository, replica: LocalBackend, place: Path
) -> None:
    """A pack that the first store has lost looks like one that it needs no more."""
    wanted = damage.everything(store)
    damage.pack_with(store, "data").unlink()
    store.refresh()

    with pytest.raises(RejectedError, match="is damaged: nothing was removed"):
        replicate(store, replica, is_pruned=True)

    assert repair(store, replicas=[replica]).is_whole
    assert damage.everything(store) == wanted


def test_what_others_do_meanwhile_is_no_damage(
    store: Repository, replica: LocalBackend, place: Path, source: Path, tmp_path: Path
) -> None:
    """The catalog is older than what they did: replicating was refused then."""
    with opened(place, tmp_path / "elsewhere") as other:
        forget(other, other.snapshots()[:1])
        (source / "a").write_bytes(b"a text of later")
        take_snapshot(other, source)
        collect(other, grace_s=0)

    done = replicate(store, replica, is_pruned=True)

    assert done.removed > 0
    with opened(replica, tmp_path / "second") as second:
        assert verify(second, data=True).is_sound


def test_pruning_never_takes_every_snapshot(store: Repository, replica: LocalBackend) -> None:
    forget(store, store.snapshots())

    with pytest.raises(RejectedError, match="has no snapshot"):
        replicate(store, replica, is_pruned=True)

    assert len(list(replica.list("snapshots"))) == 2


def test_a_store_is_no_second_store_of_itself_or_of_another(
    store: Repository, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(place)
    with made(LocalBackend(tmp_path / "other"), tmp_path / "cache"):
        pass
    (tmp_path / "no-store").mkdir()
    (tmp_path / "no-store" / "format").write_text("x")

    for name, what in (
        ("store", "is the store itself"),
        ("link", "is the store itself"),
        ("other", "is another store"),
        ("no-store", "no store that can be read"),
    ):
        with pytest.raises(RejectedError, match=what):
            replicate(store, LocalBackend(tmp_path / name), is_pruned=True)
