"""Restoring to places that fill up, may not be written, or cannot be exchanged."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.passages import let_all_through
from tests.support.restoring import MemoryReader, as_nobody, names_in

from resile.errors import OperationError, RejectedError
from resile.store import Rules
from resile.store.model import Entry
from resile.store.restore import recover, restore_in_place, restore_to

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@contextlib.contextmanager
def mounted(point: Path, options: str) -> Iterator[Path]:
    point.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "resile-test", str(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def big(reader: MemoryReader) -> Entry:
    files = [reader.file(b"%02d" % n, os.urandom(100_000)) for n in range(30)]
    return reader.folder(b"", [*files[:5], reader.folder(b"d", files[5:])])


@pytest.mark.parametrize("options", ["size=1m", "nr_inodes=12"])
def test_a_disk_that_fills_up_ends_it_with_no_file_in_part(tmp_path: Path, options: str) -> None:
    reader = MemoryReader()
    root = big(reader)

    with mounted(tmp_path / "disk", options) as disk:
        with pytest.raises(OperationError, match="No space left on device") as caught:
            restore_to(disk / "new", root, reader)

        sizes = [path.stat().st_size for path in (disk / "new").rglob("*") if path.is_file()]

    assert "make room" in caught.value.hint
    assert set(sizes) == {100_000}


@pytest.mark.parametrize("options", ["size=3500k", "nr_inodes=36"])
def test_a_disk_that_fills_up_in_place_leaves_the_old(tmp_path: Path, options: str) -> None:
    reader = MemoryReader()
    root = big(reader)

    with mounted(tmp_path / "disk", options) as disk:
        (disk / "live").mkdir()
        for n in range(8):
            (disk / "live" / f"old-{n}").write_bytes(os.urandom(100_000))
        with pytest.raises(OperationError, match="No space left on device"):
            restore_in_place(disk / "live", root, reader)

        assert names_in(disk) == ["live"]
        assert len(names_in(disk / "live")) == 8


def test_a_read_only_target_is_told(tmp_path: Path) -> None:
    reader = MemoryReader()

    with mounted(tmp_path / "disk", "ro") as disk, pytest.raises(OperationError, match="Read-only"):
        restore_to(disk / "new", big(reader), reader)


def test_a_mount_point_is_not_exchanged_and_stays(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = big(reader)

    with mounted(tmp_path / "live", "size=9m") as live:
        (live / "old").write_text("old")
        with pytest.raises(OperationError, match="could not restore") as caught:
            restore_in_place(live, root, reader)

        assert names_in(live) == ["old"]
        assert names_in(tmp_path) == ["live"]
        assert "mount point" in caught.value.hint
        with restore_in_place(live, root, reader, paths=[b"d"]):
            pass
        assert len(names_in(live / "d")) == 25
        assert recover(live) == ()


def test_a_path_on_another_file_system_is_not_exchanged(tmp_path: Path) -> None:
    reader = MemoryReader()
    root = big(reader)
    live = tmp_path / "live"

    with mounted(live / "d", "size=9m") as inner:
        (inner / "00").write_text("old")
        root = reader.folder(b"", [reader.folder(b"d", [reader.file(b"00", b"new")])])
        with pytest.raises(OperationError, match="could not restore"):
            restore_in_place(live, root, reader, paths=[b"d/00"])

        assert (inner / "00").read_text() == "old"
        assert names_in(live) == ["d"]


def test_what_is_mounted_below_stays_where_it_is(tmp_path: Path) -> None:
    """An exchange would take it along, and removing the old would empty it."""
    reader = MemoryReader()
    live = tmp_path / "live"
    live.mkdir()
    rules = Rules(device=live.stat().st_dev)

    with mounted(live / "deep" / "disk with spaces", "size=9m") as inner:
        (inner / "precious").write_text("precious")
        for more in (rules, Rules()):
            with pytest.raises(
                RejectedError, match="deep/disk with spaces is mounted in"
            ) as caught:
                restore_in_place(live, big(reader), reader, rules=more)
            assert "unmount it first" in caught.value.hint
        with restore_in_place(live, big(reader), reader, paths=[b"d"], rules=rules):
            pass

        assert (inner / "precious").read_text() == "precious"
        assert names_in(live) == ["d", "deep"]
        assert names_in(tmp_path) == ["live"]


def test_what_this_user_may_not_move_ends_it_with_all_as_it_was(tmp_path: Path) -> None:
    """A folder that its owner may not write to cannot be moved into another one."""
    reader = MemoryReader()
    root = reader.folder(b"", [reader.file(b"a", b"new", uid=65534, gid=65534)])
    live = tmp_path / "home" / "live"
    (live / "cache").mkdir(parents=True)
    (live / "a").write_text("old")
    (live / "b.tmp").write_text("old")
    (live / "cache" / "x").write_text("old")
    (live / "cache").chmod(0o555)
    let_all_through(tmp_path)
    for path in (live.parent, live, *live.rglob("*")):
        os.chown(path, 65534, 65534)

    def work() -> str:
        with pytest.raises(OperationError, match="Permission denied"):
            restore_in_place(live, root, reader, rules=Rules(excludes=("*.tmp", "cache")))
        return "done"

    assert as_nobody(work) == "done"
    assert {one.name: one.read_text() for one in live.rglob("*") if one.is_file()} == {
        "a": "old",
        "b.tmp": "old",
        "x": "old",
    }
    assert names_in(live.parent) == ["live"]


def test_lists_of_a_folder_are_not_inherited(tmp_path: Path) -> None:
    """What the target's parent would give to new entries is no part of the snapshot."""
    reader = MemoryReader()
    root = reader.folder(b"", [reader.folder(b"d", [reader.file(b"f", b"f", mode=0o640)])])
    user = (1).to_bytes(2, "little") + (7).to_bytes(2, "little") + b"\xff" * 4
    parts = [user]
    for tag, bits, who in ((2, 7, 12), (4, 5, None), (16, 7, None), (32, 5, None)):
        number = 0xFFFFFFFF if who is None else who
        parts.append(
            b"".join(
                (
                    tag.to_bytes(2, "little"),
                    bits.to_bytes(2, "little"),
                    number.to_bytes(4, "little"),
                )
            )
        )
    value = (2).to_bytes(4, "little") + b"".join(parts)
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", value)
    except OSError as exc:
        pytest.skip(f"there are no access lists here: {exc.strerror}")

    restore_to(tmp_path / "new", root, reader)
    (tmp_path / "some").mkdir()
    restore_to(tmp_path / "some", root, reader, paths=[b"d/f"])

    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*"), *(tmp_path / "some").rglob("*")):
        assert os.listxattr(path) == []
    assert (tmp_path / "some" / "d" / "f").stat().st_mode & 0o777 == 0o640
