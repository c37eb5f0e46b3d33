"""A folder as it is now, beside the snapshots of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.errors import RejectedError
from resile.store import (
    SAFETY_TAG,
    Repository,
    Rules,
    Snapshot,
    compare,
    create,
    kept_by,
    left_out_of,
    live_root,
    open_backend,
    open_store,
    readers,
    restore_in_place,
    save_live,
    take_snapshot,
)
from resile.store.walk import rules_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kb"
    made.mkdir()
    (made / "kept").write_text("as it was")
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    opened = create(open_backend(tmp_path / "store"), cache=tmp_path / "cache")
    yield opened
    opened.close()


@pytest.fixture
def taken(store: Repository, folder: Path) -> Snapshot:
    return take_snapshot(store, folder).snapshot


def changes(store: Repository, taken: Snapshot) -> list[tuple[bytes, str]]:
    with live_root(store, taken) as now:
        return [(one.path, one.kind.value) for one in compare(store, now, taken.root)]


def test_going_back_from_now_is_compared_without_leaving_a_snapshot(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    (folder / "kept").write_text("changed")
    (folder / "new").touch()

    assert changes(store, taken) == [(b"kept", "modified"), (b"new", "deleted")]
    assert store.snapshots() == [taken]


def test_what_a_snapshot_left_out_is_no_difference_and_named_apart(
    store: Repository, folder: Path
) -> None:
    (folder / "build" / "deep").mkdir(parents=True)
    (folder / "build" / "deep" / "big").touch()
    (folder / "below").mkdir()
    for name in ("a.tmp", "below/\udcff.tmp", ".resile-x"):
        (folder / name).touch()
    taken = take_snapshot(store, folder, rules=Rules(excludes=("*.tmp", "build"))).snapshot
    (folder / "b.tmp").touch()

    assert changes(store, taken) == []
    assert left_out_of(taken) == [b"a.tmp", b"b.tmp", b"below/\xff.tmp", b"build"]
    assert left_out_of(take_snapshot(store, folder).snapshot) == []
    folder.rename(folder.with_name("elsewhere"))
    assert left_out_of(taken) == []


def test_a_restore_keeps_store_and_state_in_the_folder_that_they_keep(folder: Path) -> None:
    """They went with what was there before."""
    cache, state = folder.with_name("cache"), folder / "state"
    store = create(open_backend(folder / ".resile-store"), cache=cache)
    taken = take_snapshot(store, folder, rules=Rules(excludes=("*.tmp",))).snapshot
    (folder / "a.tmp").touch()
    state.mkdir()

    rules = kept_by(store, taken, state=state)
    with restore_in_place(folder, taken.root, store, rules=rules) as done:
        assert done.kept == (".resile-store", "a.tmp", "state")
    store.close()

    opened = open_store(open_backend(folder / ".resile-store"), cache=cache)
    assert opened.snapshots() == [taken]
    opened.close()


def test_what_a_restore_keeps_is_what_the_snapshot_leaves_out(
    store: Repository, folder: Path
) -> None:
    device = folder.stat().st_dev
    taken = take_snapshot(store, folder, rules=Rules(excludes=("*.tmp",), device=device)).snapshot

    assert kept_by(store, taken, state=None) == Rules(excludes=("*.tmp",), device=device)
    folder.rename(folder.with_name("elsewhere"))
    assert kept_by(store, taken, state=None) == Rules()


def test_what_an_earlier_restore_left_is_not_taken_away(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    (folder / ".resile-restore-0").mkdir()
    (folder / ".resile-restore-0" / "record.json").write_text("nonsense")

    with pytest.raises(RejectedError, match=r"has left .*/\.resile-restore-0: the record of a"):
        save_live(store, folder)
    assert save_live(store, folder, paths=(b"kept",)) is not None


def test_another_file_system_stays_left_out(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    device = folder.stat().st_dev
    alone = take_snapshot(store, folder, rules=Rules(device=device)).snapshot

    assert rules_of(alone) == Rules(device=device)
    assert rules_of(taken) == Rules()
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError):
        rules_of(alone)
    assert left_out_of(alone) == []


def test_everything_of_a_folder_that_is_gone_would_be_made(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    folder.rename(folder.with_name("elsewhere"))

    assert changes(store, taken) == [(b"kept", "created")]


def test_the_passing_snapshot_goes_even_if_nobody_reads_to_the_end(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    with pytest.raises(RuntimeError), live_root(store, taken):
        raise RuntimeError

    assert store.snapshots() == [taken]


def test_what_is_there_is_kept_before_a_restore(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    (folder / "new").touch()

    kept = save_live(store, folder)

    assert kept is not None
    assert kept.tags == (SAFETY_TAG,)
    assert [one.path for one in compare(store, taken.root, kept.root)] == [b"new"]
    assert save_live(store, folder / "nothing") is None


def test_what_cannot_be_kept_is_not_taken_away(
    store: Repository, folder: Path, taken: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore in place would remove the only copy of it."""
    (folder / "below").mkdir()
    (folder / "below" / "closed").write_text("precious")
    read = readers.read_entry

    def refuse(folder_fd: int, name: str, *more: object) -> object:
        if name == "closed":
            raise PermissionError(13, "Permission denied")
        return read(folder_fd, name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(readers, "read_entry", refuse)

    for paths in ((), (b"below",), (b"below/closed",)):
        with pytest.raises(RejectedError, match=r"1 paths in .* below/closed: Permission denied"):
            save_live(store, folder, paths=paths)
    assert save_live(store, folder, paths=(b"kept",)) is not None
