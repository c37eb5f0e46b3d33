"""Names of snapshots, and paths in them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.storing import made

from resile.errors import ConfigError, UnknownSnapshotError
from resile.store import (
    SAFETY_TAG,
    Entry,
    EntryType,
    Repository,
    Snapshot,
    find_path,
    take_snapshot,
)
from resile.store.backends.memory import MemoryBackend

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = Entry(name=b"", type=EntryType.FOLDER, mode=0, uid=0, gid=0, mtime_ns=0, tree=bytes(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(MemoryBackend(), tmp_path / "cache") as repository:
        yield repository


@pytest.fixture
def named(store: Repository) -> Repository:
    """With snapshots whose ids are known."""
    names = (("abcd" + "0" * 60, "/a"), ("abcd" + "1" * 60, "/b"), ("ef01" + "2" * 60, "/a"))
    found = [
        Snapshot(
            snapshot_id=name,
            source=source,
            host="h",
            user="u",
            started_at=NOW + timedelta(hours=hours),
            finished_at=NOW,
            root=ROOT,
            tags=(SAFETY_TAG,) if hours == 2 else (),
        )
        for hours, (name, source) in enumerate(names)
    ]
    store.snapshots = lambda: found  # type: ignore[method-assign]
    return store


@pytest.mark.parametrize(
    ("name", "source", "digits"),
    [
        ("abcd0", "", "abcd0"),
        ("ABCD1", "", "abcd1"),
        ("ef01", "", "ef01"),
        ("abcd" + "0" * 60, "", "abcd0"),
        ("latest", "", "abcd1"),
        ("latest", "/a", "abcd0"),
    ],
)
def test_a_snapshot_has_its_name(named: Repository, name: str, source: str, digits: str) -> None:
    assert named.find(name, source=source).snapshot_id.startswith(digits)


@pytest.mark.parametrize(
    ("name", "says", "near"),
    [
        ("abcd", "2 snapshots are called", ["abcd111111", "abcd000000"]),
        ("abce", "no snapshots are called", ["abcd111111", "abcd000000", "ef01222222"]),
        ("bef012", "no snapshots are called", ["ef01222222", "abcd111111", "abcd000000"]),
        ("ef0", "'ef0' is too short", ["ef01222222"]),
        ("9", "'9' is too short", ["ef01222222", "abcd111111", "abcd000000"]),
        ("", "'' is too short", ["ef01222222", "abcd111111", "abcd000000"]),
        ("../a", "no snapshots are called", ["abcd111111", "abcd000000", "ef01222222"]),
    ],
)
def test_a_name_that_means_none_or_many_is_refused(
    named: Repository, name: str, says: str, near: list[str]
) -> None:
    """One error and one exit code for all of it, and what may have been meant."""
    with pytest.raises(UnknownSnapshotError, match=says) as caught:
        named.find(name)

    assert caught.value.exit_code == 2
    assert re.findall(r"(\w{10}) \(2026-11-22 0\d:00 UTC, /[ab]\)", caught.value.hint) == near


def test_the_latest_of_nothing_is_refused(store: Repository) -> None:
    with pytest.raises(UnknownSnapshotError, match="no snapshots are called 'latest'") as caught:
        store.find("latest")

    assert caught.value.hint == "all are listed by: resile snapshots"


def test_the_latest_of_another_folder_names_those_that_are_there(named: Repository) -> None:
    with pytest.raises(UnknownSnapshotError, match="called 'latest'") as caught:
        named.find("latest", source="/c")

    assert "ef01222222" in caught.value.hint


def test_a_path_leads_to_its_entry(store: Repository, tmp_path: Path) -> None:
    (tmp_path / "source" / "below").mkdir(parents=True)
    (tmp_path / "source" / "below" / "f").touch()
    root = take_snapshot(store, tmp_path / "source").snapshot.root

    for path in (b".", b"", b"/", b"./."):
        assert find_path(store, root, path) is root
    for path in (b"below/f", b"/below//f/", b"./below/./f"):
        assert find_path(store, root, path).name == b"f"
    for path in (b"below/g", b"below/f/g", b"f"):
        with pytest.raises(ConfigError, match="is not in this snapshot"):
            find_path(store, root, path)
    for path in (b"..", b"below/../below"):
        with pytest.raises(ConfigError, match=r"has no `\.\.`"):
            find_path(store, root, path)
