"""A snapshot becomes a folder again: all of it, and nothing half."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.restoring import (
    MTIME_NS,
    MemoryReader,
    entry,
    facts_of,
    link,
    names_in,
    wanted_of,
)

from resile.errors import ConfigError, RejectedError, StoreDamagedError
from resile.store.model import Entry, EntryType
from resile.store.restore import restore_to
from resile.store.restore.building import TreeBuilder
from resile.store.restore.folders import FolderCache, top_folder
from resile.store.restore.tally import Tally
from resile.testing import FakeClock

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: name not in (b".", b"..") and not set(name) & {0, ord("/")}
)
MODES = st.integers(0, 0o7777 if IS_ROOT else 0o777).map(lambda mode: mode | 0o400)
OWNERS = st.integers(0, 70_000) if IS_ROOT else st.just(os.geteuid())
TIMES = st.integers(0, 4_000_000_000 * 10**9)


@st.composite
def trees(draw: st.DrawFn, reader: MemoryReader, depth: int = 3) -> list[Entry]:
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    return [draw(entries(reader, name, depth)) for name in names]


@st.composite
def entries(draw: st.DrawFn, reader: MemoryReader, name: bytes, depth: int) -> Entry:
    facts = {"mode": draw(MODES), "mtime_ns": draw(TIMES)}
    if IS_ROOT:
        facts |= {"uid": draw(OWNERS), "gid": draw(OWNERS)}
    kinds = ["file", "sparse", "name", "link", "fifo"] + ["folder"] * (depth > 0)
    match draw(st.sampled_from(kinds)):
        case "folder":
            below = draw(trees(reader, depth - 1))
            return reader.folder(name, below, **{**facts, "mode": facts["mode"] | 0o700})
        case "link":
            return link(name, draw(NAMES), **{**facts, "mode": 0o777})
        case "fifo":
            return entry(name, EntryType.FIFO, **{**facts, "mode": facts["mode"] & 0o777})
        case "name":
            return reader.file(name, b"one file", hard_link="1")
        case "sparse":
            start, data = draw(st.integers(0, 9000)), draw(st.binary(max_size=30))
            half = len(data) // 2
            extents = ((start, half), (start + half + 7, len(data) - half))
            size = extents[-1][0] + extents[-1][1] + draw(st.integers(0, 5000))
            return reader.file(name, data, size=size, extents=extents, chunk_size=4, **facts)
    data = draw(st.binary(max_size=40))
    return reader.file(name, data, chunk_size=draw(st.integers(1, 50)), **facts)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), batch=st.sampled_from([1, 3, 1000]))
def test_every_kind_of_entry_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, batch: int
) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", data.draw(trees(reader)))
    target = tmp_path_factory.mktemp("target")
    fd = os.open(target, os.O_RDONLY)
    tally = Tally()

    TreeBuilder(reader, top_folder(fd, is_ours=True), fd, tally, batch=batch).build_all(root)

    os.close(fd)
    assert tally.report().lost == ()
    assert tally.report().skipped == ()
    assert facts_of(target) == wanted_of(root, reader)


@needs_root
def test_attributes_devices_and_set_id_bits_come_back(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(
        b"",
        [
            reader.file(b"a", b"a", uid=7, mode=0o6755, xattrs={"user.b": b"\0\xff"}),
            entry(b"c", EntryType.CHAR, rdev=os.makedev(1, 3), mode=0o666),
            link(b"l", b"a", uid=8, xattrs={"trusted.t": b"1"}),
        ],
        xattrs={"user.a": b"1"},
    )

    report = restore_to(tmp_path / "new", root, reader)

    assert report.is_complete
    assert facts_of(tmp_path / "new") == wanted_of(root, reader)


def test_holes_take_no_room(tmp_path: Path) -> None:
    reader = MemoryReader()
    sparse = reader.file(b"s", b"x", size=1 << 30, extents=((1 << 29, 1),))

    restore_to(tmp_path / "new", reader.folder(b"", [sparse]), reader)

    status = (tmp_path / "new" / "s").stat()
    assert status.st_size == 1 << 30
    assert status.st_blocks * 512 < 1 << 20


def test_names_that_share_a_text_but_no_content_are_files_of_their_own(tmp_path: Path) -> None:
    reader = MemoryReader()
    one = reader.file(b"1", b"one", hard_link="x")
    two = reader.file(b"2", b"two", hard_link="x")

    restore_to(tmp_path / "new", reader.folder(b"", [one, two]), reader)

    assert (tmp_path / "new" / "2").read_bytes() == b"two"


def test_a_file_of_very_many_chunks_is_read_through_its_lists(tmp_path: Path) -> None:
    reader = MemoryReader()
    parts = [reader.add_blob(part) for part in (b"12", b"34")]
    reader.lists = {b"L" * 32: (parts[0],), b"M" * 32: (parts[1],)}
    many = entry(b"m", EntryType.FILE, size=4, lists=(b"L" * 32, b"M" * 32))

    restore_to(tmp_path / "new", reader.folder(b"", [many]), reader)

    assert (tmp_path / "new" / "m").read_bytes() == b"1234"


def test_a_folder_with_files_in_it_is_refused(tmp_path: Path) -> None:
    reader = MemoryReader()
    (tmp_path / "kept").write_text("kept")

    with pytest.raises(RejectedError, match="is not empty"):
        restore_to(tmp_path, reader.folder(b"", [reader.file(b"a")]), reader)

    assert names_in(tmp_path) == ["kept"]


def test_a_target_that_is_a_link_is_refused(tmp_path: Path) -> None:
    reader = MemoryReader()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    with pytest.raises(RejectedError, match="is no folder"):
        restore_to(tmp_path / "link", reader.folder(b"", [reader.file(b"a")]), reader)

    assert list((tmp_path / "real").iterdir()) == []


def test_a_target_in_no_folder_is_a_fault_of_the_user(tmp_path: Path) -> None:
    reader = MemoryReader()

    with pytest.raises(ConfigError, match="there is no folder"):
        restore_to(tmp_path / "no" / "new", reader.folder(b""), reader)


def test_an_empty_folder_is_taken_with_the_roots_metadata(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"a", b"a")], mode=0o751)

    restore_to(tmp_path, root, reader)

    assert facts_of(tmp_path) == wanted_of(root, reader)


def test_paths_that_are_not_in_the_snapshot_are_all_told_before_anything(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"a"), reader.folder(b"d", [reader.file(b"e")])])
    paths = [b"d/e", b"no\xff", b"d/no", b"a/below", b"/a", b"../x"]

    with pytest.raises(ConfigError) as caught:
        restore_to(tmp_path / "new", root, reader, paths=paths)

    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "no\\xff",
        "d/no",
        "a/below",
        "/a",
        "../x",
    ]
    assert not (tmp_path / "new").exists()


def test_selected_paths_alone_are_restored_into_what_is_there(tmp_path: Path) -> None:
    reader = MemoryReader()
    deep = reader.folder(b"deep", [reader.file(b"x", b"x"), reader.file(b"y", b"y")], mode=0o711)
    root = reader.folder(
        b"", [reader.file(b"a", b"a"), reader.folder(b"d", [deep, reader.file(b"n", b"n")])]
    )
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "mine").write_text("mine")

    report = restore_to(tmp_path, root, reader, paths=[b"./d//deep/x", b"d/n/", b"d/n"])

    assert names_in(tmp_path / "d") == ["deep", "mine", "n"]
    assert names_in(tmp_path / "d" / "deep") == ["x"]
    assert stat.S_IMODE((tmp_path / "d" / "deep").stat().st_mode) == 0o711
    assert (tmp_path / "d" / "deep").stat().st_mtime_ns == MTIME_NS
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    assert (report.files, report.folders) == (2, 1)


@pytest.mark.parametrize("obstacle", ["file", "link", "folder"])
def test_selected_paths_that_are_there_already_are_refused(tmp_path: Path, obstacle: str) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.folder(b"d", [reader.file(b"x", b"x")]), reader.file(b"b")])
    if obstacle == "file":
        (tmp_path / "d").write_text("in the way")
    elif obstacle == "link":
        (tmp_path / "d").symlink_to(tmp_path)
    else:
        (tmp_path / "d" / "x").mkdir(parents=True)

    with pytest.raises(RejectedError, match="d/x"):
        restore_to(tmp_path, root, reader, paths=[b"d/x", b"b"])

    assert names_in(tmp_path) == ["d"]


def test_the_path_of_the_root_is_everything(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"a", b"a")], mode=0o700)

    restore_to(tmp_path / "new", root, reader, paths=[b"."])

    assert facts_of(tmp_path / "new") == wanted_of(root, reader)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"size": 7},
        {"size": 9, "extents": ((0, 3), (4, 2))},
        {"size": 9, "extents": ((0, 3), (4, 4))},
        {"size": 9, "extents": ()},
        {"chunks": (b"m" * 32,)},
        {"chunks": (b"m" * 32,), "extents": ((0, 6),)},
    ],
)
@pytest.mark.parametrize("chunk_size", [2, 100])
def test_a_file_that_is_damaged_is_not_there_and_the_rest_is(
    tmp_path: Path, change: dict[str, Any], chunk_size: int
) -> None:
    reader = MemoryReader()
    bad = reader.file(b"bad", b"123456", **{"chunk_size": chunk_size, **change})
    root = reader.folder(b"", [bad, reader.file(b"good", b"good")])

    report = restore_to(tmp_path / "new", root, reader)

    assert [one.path for one in report.lost] == ["bad"]
    assert names_in(tmp_path / "new") == ["good"]
    with pytest.raises(StoreDamagedError, match="bad"):
        report.check_nothing_lost()


def test_a_folder_that_is_damaged_is_told_and_stays_empty(tmp_path: Path) -> None:
    reader = MemoryReader()
    bad = entry(b"bad", EntryType.FOLDER, mode=0o755, tree=b"t" * 32)

    report = restore_to(tmp_path / "new", reader.folder(b"", [bad]), reader)

    assert [(one.path, one.reason) for one in report.lost] == [("bad", "the folder is missing")]
    assert report.lost_count == 1


def test_a_further_name_of_a_file_that_is_lost_is_lost_too(tmp_path: Path) -> None:
    reader = MemoryReader()
    names = [reader.file(name, b"x", hard_link="1") for name in (b"1", b"2")]
    reader.blobs.clear()

    report = restore_to(tmp_path / "new", reader.folder(b"", names), reader)

    assert [one.path for one in report.lost] == ["1", "2"]


def test_progress_is_told_at_a_bounded_rate_and_at_the_end(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"%d" % n, b"12345") for n in range(50)])
    told: list[tuple[int, int]] = []

    restore_to(
        tmp_path / "new",
        root,
        reader,
        on_progress=lambda files, size: told.append((files, size)),
        clock=FakeClock(),
    )

    assert len(told) == 2
    assert told[-1] == (50, 250)


def test_folders_are_found_again_after_their_descriptors_were_closed(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    cache = FolderCache(top_folder(fd, is_ours=True), fd, open_max=2)
    folders = [top := cache._top]
    for n in range(9):
        top = cache.make(top, b"%d" % n)
        folders.append(top)

    found = [os.fstat(cache.fd(folder)).st_ino for folder in folders]

    assert found == [folder.identity[1] for folder in folders]
    cache.close()
    os.close(fd)


def test_a_folder_that_was_exchanged_is_not_used(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    top = top_folder(fd, is_ours=True)
    cache = FolderCache(top, fd, open_max=1)
    folder = cache.make(top, b"a")
    cache.make(top, b"b")
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "a").mkdir()

    with pytest.raises(OSError, match="somebody put something else"):
        cache.fd(folder)

    cache.close()
    os.close(fd)
