"""A store that somebody forged: every way to read it ends in words, and soon."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.storing import made

from resile.errors import StoreDamagedError
from resile.store import (
    Entry,
    EntryType,
    Repository,
    Snapshot,
    collect,
    compare,
    find_path,
    read_file,
    verify,
    walk_entries,
)
from resile.store.backends.memory import MemoryBackend
from resile.store.format.frames import FileKind
from resile.store.format.trees import encode_ids, encode_parts, encode_tree
from resile.store.ingest import Ingest, Packer

NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(MemoryBackend(), tmp_path / "cache") as repository:
        yield repository


def entry(name: bytes, kind: EntryType, **more: Any) -> Entry:
    return Entry(name=name, type=kind, mode=0o755, uid=0, gid=0, mtime_ns=0, **more)


def folder(tree: bytes, name: bytes = b"d") -> Entry:
    return entry(name, EntryType.FOLDER, tree=tree)


def put_all(store: Repository, blobs: list[bytes], kind: FileKind) -> list[bytes]:
    packer = Packer(Ingest(store), kind)
    ids = [packer.put(blob) for blob in blobs]
    packer.finish()
    return ids


def put_snapshot(store: Repository, root: Entry) -> Entry:
    store.put_snapshot(
        Snapshot(
            snapshot_id="",
            source="/forged",
            host="h",
            user="u",
            started_at=NOW,
            finished_at=NOW,
            root=root,
        )
    )
    return root


def nested(store: Repository, depth: int, bottom: bytes) -> Entry:
    """Make folders inside of folders."""
    packer = Packer(Ingest(store), FileKind.TREE_PACK)
    tree = packer.put(encode_tree([entry(bottom, EntryType.FIFO)]))
    for _ in range(depth):
        tree = packer.put(encode_tree([folder(tree)]))
    packer.finish()
    return put_snapshot(store, folder(tree, b""))


def test_folders_that_nest_without_end_are_refused(store: Repository) -> None:
    first, second = nested(store, 1500, b"a"), nested(store, 1500, b"b")

    with pytest.raises(StoreDamagedError, match="deeper than 256"):
        list(walk_entries(store, first))
    with pytest.raises(StoreDamagedError, match="deeper than 256"):
        list(compare(store, first, second))
    found = verify(store)
    assert {flaw.what.rpartition("/")[2] for flaw in found.flaws} == {
        "d nests deeper than 256 folders"
    }
    assert find_path(store, first, b"d/" * 300).tree
    collect(store, grace_s=0)
    assert find_path(store, first, b"d/" * 300).tree


def test_folders_as_deep_as_a_snapshot_may_be_are_read(store: Repository) -> None:
    first, second = nested(store, 256, b"a"), nested(store, 256, b"b")

    assert len(list(walk_entries(store, first))) == 257
    assert len(list(compare(store, first, second))) == 2
    assert verify(store).is_sound


def test_parts_that_have_parts_or_overlap_are_refused(store: Repository) -> None:
    inner, low, high = put_all(
        store,
        [
            encode_parts([]),
            encode_tree([entry(b"a", EntryType.FIFO), entry(b"m", EntryType.FIFO)]),
            encode_tree([entry(b"b", EntryType.FIFO)]),
        ],
        FileKind.TREE_PACK,
    )
    outer = put_all(store, [encode_parts([inner])], FileKind.TREE_PACK)[0]
    for parts in ([outer], [low, high], [low, low]):
        (tree,) = put_all(store, [encode_parts(parts)], FileKind.TREE_PACK)
        with pytest.raises(StoreDamagedError, match="do not follow each other"):
            store.tree(tree)


def test_content_that_is_no_folder_or_no_list_is_refused(store: Repository) -> None:
    (text,) = put_all(store, [b"a text"], FileKind.DATA_PACK)
    liar = entry(b"f", EntryType.FILE, size=6, lists=(text,))
    (tree,) = put_all(store, [encode_tree([liar])], FileKind.TREE_PACK)
    put_snapshot(store, folder(tree, b""))

    with pytest.raises(StoreDamagedError, match="is no folder"):
        store.tree(text)
    with pytest.raises(StoreDamagedError, match="is no list"):
        list(read_file(store, liar))
    assert [one.path for one in verify(store).affected] == [b"f"]
    with pytest.raises(StoreDamagedError):
        collect(store, grace_s=0)


def test_a_file_of_another_size_than_it_says_is_a_flaw(store: Repository) -> None:
    (text,) = put_all(store, [b"a text"], FileKind.DATA_PACK)
    (listed,) = put_all(store, [encode_ids([text])], FileKind.DATA_PACK)
    files = [
        entry(b"holes", EntryType.FILE, size=9, chunks=(text,), extents=((0, 3), (4, 5))),
        entry(b"listed", EntryType.FILE, size=5, lists=(listed,)),
        entry(b"long", EntryType.FILE, size=7, chunks=(text,)),
        entry(b"right", EntryType.FILE, size=6, chunks=(text,)),
    ]
    (tree,) = put_all(store, [encode_tree(files)], FileKind.TREE_PACK)
    put_snapshot(store, folder(tree, b""))

    assert [one.path for one in verify(store).affected] == [b"holes", b"listed", b"long"]
    with pytest.raises(StoreDamagedError, match="less content"):
        list(read_file(store, files[0]))


def test_huge_holes_are_given_in_pieces(store: Repository) -> None:
    """Nobody needs the memory that a forged size would take."""
    (text,) = put_all(store, [b"a text"], FileKind.DATA_PACK)
    one = entry(b"f", EntryType.FILE, size=1 << 60, chunks=(text,), extents=((1 << 50, 6),))

    pieces = list(itertools.islice(read_file(store, one), 50))

    assert max(map(len, pieces)) <= 4 << 20
