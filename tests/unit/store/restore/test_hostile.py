"""Stores that were forged, and somebody who changes the target while it is written."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.escapes import Escape, find_escapes
from tests.support.passages import let_all_through
from tests.support.restoring import MemoryReader, as_nobody, entry, link, names_in

from resile.store.model import Entry, EntryType
from resile.store.restore import restore_to
from resile.store.restore.model import DEPTH_MAX, Problem

ROUNDS = 300


def lost(report: object) -> list[tuple[str, str]]:
    return [(one.path, one.reason) for one in report.lost]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc", b"a\0b", b"../x"])
@pytest.mark.parametrize("kind", [EntryType.FILE, EntryType.FOLDER, EntryType.LINK])
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, name: bytes, kind: EntryType
) -> None:
    reader = MemoryReader()
    tree = reader.add_tree([reader.file(b"x", b"x")])
    bad = entry(name, kind, target=b"x", tree=tree)
    root = entry(b"", EntryType.FOLDER, mode=0o755, tree=reader.add_tree([bad, reader.file(b"z")]))

    report = restore_to(tmp_path / "new", root, reader)

    assert report.lost_count == 1
    assert names_in(tmp_path) == ["new"]
    assert names_in(tmp_path / "new") == ["z"]


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0o10000},
        {"mode": -1},
        {"uid": 2**32 - 1},
        {"gid": -1},
        {"mtime_ns": 10**30},
        {"size": 2**63},
        {"extents": ((5, 2), (3, 1)), "size": 9},
        {"extents": ((0, 2),), "size": 1},
        {"extents": ((0, -2),), "size": 1},
        {"rdev": 2**64},
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"bad", b"", **change), reader.file(b"good")])

    report = restore_to(tmp_path / "new", root, reader)

    assert [one.path for one in report.lost] == ["bad"]
    assert names_in(tmp_path / "new") == ["good"]


@pytest.mark.parametrize("target", [b"", b"a\0b"])
def test_a_link_to_nothing_is_refused(tmp_path: Path, target: bytes) -> None:
    reader = MemoryReader()

    report = restore_to(tmp_path / "new", reader.folder(b"", [link(b"l", target)]), reader)

    assert lost(report) == [("l", "it is a link that points nowhere")]


@pytest.mark.parametrize("name", ["user.\ud800x", "user.a\0b", "nonsense", "user." + "x" * 300])
def test_attributes_that_cannot_be_are_told(tmp_path: Path, name: str) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"a", b"a", xattrs={name: b"1"})])

    report = restore_to(tmp_path / "new", root, reader)

    assert [one.path for one in report.skipped] == ["a"]
    assert not report.is_complete
    assert (tmp_path / "new" / "a").read_bytes() == b"a"


def test_a_name_that_is_too_long_is_lost_alone(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"n" * 300), reader.file(b"good")])

    report = restore_to(tmp_path / "new", root, reader)

    assert lost(report) == [("n" * 300, "File name too long")]


def test_a_link_and_a_folder_of_one_name_do_not_lead_out(tmp_path: Path) -> None:
    reader = MemoryReader()
    (tmp_path / "outside").mkdir()
    trap = link(b"d", os.fsencode(tmp_path / "outside"))
    folder = reader.folder(b"d", [reader.file(b"x", b"x")])
    tree = reader.add_tree([trap, folder, reader.file(b"z", b"z")])
    root = entry(b"", EntryType.FOLDER, mode=0o755, tree=tree)

    whole = restore_to(tmp_path / "new", root, reader)

    assert lost(whole) == [("d", "File exists")]
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_and_a_folder_of_one_selected_name_do_not_lead_out(tmp_path: Path) -> None:
    reader = MemoryReader()
    (tmp_path / "outside").mkdir()
    trap = link(b"d", os.fsencode(tmp_path / "outside"))
    folder = reader.folder(b"d", [reader.file(b"x", b"x")])
    root = entry(b"", EntryType.FOLDER, mode=0o755, tree=reader.add_tree([trap, folder]))

    report = restore_to(tmp_path / "new", root, reader, paths=[b"d/x"])

    assert [one.path for one in report.lost] == ["d"]
    assert list((tmp_path / "outside").iterdir()) == []


def test_folders_without_end_are_cut(tmp_path: Path) -> None:
    reader = MemoryReader()
    folder: Entry = reader.folder(b"f", [reader.file(b"x")])
    for _ in range(DEPTH_MAX + 5):
        folder = reader.folder(b"f", [folder])

    report = restore_to(tmp_path / "new", reader.folder(b"", [folder]), reader)

    assert [one.reason for one in report.lost] == [f"folders nest deeper than {DEPTH_MAX}"]
    assert report.folders == DEPTH_MAX + 1
    remove_deep(tmp_path / "new")


def remove_deep(path: Path) -> None:
    """Remove what pytest cannot: its paths become too long."""
    from resile.core.trees import remove_tree

    fd = os.open(path.parent, os.O_RDONLY)
    remove_tree(fd, os.fsencode(path.name))
    os.close(fd)
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a plain user")
def test_a_plain_user_gets_all_that_a_plain_user_may_have(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = reader.folder(
        b"",
        [
            reader.file(b"s", b"s", mode=0o4755, uid=65534, gid=65534),
            reader.file(b"r", b"r", mode=0o4600, uid=0),
            entry(b"c", EntryType.CHAR, rdev=os.makedev(1, 3)),
            reader.folder(b"closed", [reader.file(b"x", b"x", mode=0)], mode=0),
            reader.file(b"t", b"t", xattrs={"trusted.t": b"1", "user.u": b"1"}),
        ],
    )
    home = tmp_path / "home"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    let_all_through(tmp_path)

    answer = as_nobody(lambda: restore_to(home / "new", root, reader))

    assert answer.startswith("RestoreReport(files=4, folders=2"), answer
    assert "lost_count=0" in answer
    assert "skipped_count=4" in answer
    assert repr(Problem(path="c", reason="a device: only root makes it")) in answer
    assert "foreign_count=5" in answer
    assert (home / "new" / "s").stat().st_mode & 0o7777 == 0o755
    assert (home / "new" / "closed" / "x").read_bytes() == b"x"
    assert (home / "new" / "closed").stat().st_mode & 0o7777 == 0


def test_links_that_are_raced_into_the_target_never_lead_out(tmp_path: Path) -> None:
    escapes: list[Escape] = []
    for seed in range(ROUNDS):
        escapes += find_escapes(tmp_path, random.Random(seed))

    assert escapes == []
