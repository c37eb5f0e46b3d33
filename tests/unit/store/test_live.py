"""A folder as it is now, beside the snapshots of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.errors import RejectedError
from resile.store import (
    SAFETY_TAG,
    Repository,
    Snapshot,
    compare,
    create,
    live_root,
    open_backend,
    readers,
    save_live,
    take_snapshot,
)


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


def changes(store: Repository, folder: Path, taken: Snapshot) -> list[tuple[bytes, str]]:
    with live_root(store, folder) as now:
        return [(one.path, one.kind.value) for one in compare(store, now, taken.root)]


def test_going_back_from_now_is_compared_without_leaving_a_snapshot(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    (folder / "kept").write_text("changed")
    (folder / "new").touch()

    assert changes(store, folder, taken) == [(b"kept", "modified"), (b"new", "deleted")]
    assert store.snapshots() == [taken]


def test_everything_of_a_folder_that_is_gone_would_be_made(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    folder.rename(folder.with_name("elsewhere"))

    assert changes(store, folder, taken) == [(b"kept", "created")]


def test_the_passing_snapshot_goes_even_if_nobody_reads_to_the_end(
    store: Repository, folder: Path, taken: Snapshot
) -> None:
    with pytest.raises(RuntimeError), live_root(store, folder):
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
