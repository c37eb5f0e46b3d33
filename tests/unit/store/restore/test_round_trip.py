"""From a folder through a real store to a folder, and nothing differs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.restoring import facts_of

from resile.store.backends.memory import MemoryBackend
from resile.store.opening import create
from resile.store.repository import Repository
from resile.store.restore import restore_to
from resile.store.snapshot import take_snapshot


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    opened = create(MemoryBackend(), cache=tmp_path / "cache")
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    deep = folder / os.fsdecode(b"\xff\n") / "deep"
    deep.mkdir(parents=True)
    (folder / "one").write_bytes(b"1" * 3_000_000)
    (folder / "other").hardlink_to(folder / "one")
    (deep / "link").symlink_to("../nowhere")
    os.mkfifo(deep / "fifo")
    with (deep / "holes").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    for n in range(20):
        (deep / f"{n}").write_text(f"small {n}")
    (deep / "0").chmod(0o400)
    os.setxattr(deep / "1", "user.kept", b"\0value")
    deep.chmod(0o711)
    return folder


def test_a_folder_comes_back_from_a_store_as_it_was(
    tmp_path: Path, source: Path, repository: Repository
) -> None:
    snapshot = take_snapshot(repository, source).snapshot

    report = restore_to(tmp_path / "new", snapshot.root, repository)

    assert report.is_complete
    assert facts_of(tmp_path / "new") == facts_of(source)


def test_places_are_told_in_order_and_what_is_unknown_is_nowhere(
    source: Path, repository: Repository
) -> None:
    root = take_snapshot(repository, source).snapshot.root
    chunks = next(one.chunks for one in repository.tree(root.tree) if one.name == b"one")
    wanted = [b"?" * 32, *chunks, *[b"!" * 32] * 600, chunks[0]]

    places = repository.locate_all(wanted)

    assert places[0] == places[-2] == ("", 0, 0)
    assert places[1] == places[-1]
    assert places[1][0].startswith("packs/")
    assert len(places) == len(wanted)
    assert len({place[:2] for place in places[1 : 1 + len(chunks)]}) == len(set(chunks))


def test_a_place_that_is_no_longer_true_is_looked_up_again(
    source: Path, repository: Repository
) -> None:
    root = take_snapshot(repository, source).snapshot.root
    (first, *_) = next(one.chunks for one in repository.tree(root.tree) if one.name == b"one")
    (_, (pack, _, _)) = repository.locate_all([b"?" * 32, first])
    data = repository.read_blob(first)
    repository._frames.clear()
    elsewhere = repository._located[first]
    repository._located[first] = type(elsewhere)(
        pack="packs/gone", frame=elsewhere.frame, start=0, length=elsewhere.length
    )

    assert pack != "packs/gone"
    assert repository.read_blob(first) == data
