"""The comparison of trees sees each kind of difference, and none where there is none."""

import os
import re
import shutil
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.comparing import compare

Change = Callable[[Path], object]


def make(root: Path) -> None:
    """Make one of each kind; files and folders with the same times in each tree."""
    (root / "folder/below").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"content")
    (root / "folder/empty").touch()
    (root / "link").symlink_to("folder/file")
    (root / os.fsdecode(b"not-\xff-utf8")).write_bytes(b"odd")
    os.mkfifo(root / "fifo")
    for name in ("one", "two", "three"):
        (root / name).write_bytes(b"same")
    os.link(root / "one", root / "one-again")
    with (root / "holes").open("wb") as file:
        file.truncate(1 << 20)
        os.pwrite(file.fileno(), b"z", 500_000)
    os.setxattr(root / "folder/file", "user.kept", b"\0v")
    for path in (root, *root.rglob("*")):
        os.utime(path, ns=(1, 10**18 + 7), follow_symlinks=False)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    make(first)
    make(second)
    return first, second


def keep_times(path: Path, change: Change) -> None:
    """Change what is at a path, and put its time and that of its folder back."""
    before = [(p, p.lstat().st_mtime_ns) for p in (path, path.parent) if os.path.lexists(p)]
    change(path)
    for changed, mtime_ns in before:
        if os.path.lexists(changed):
            os.utime(changed, ns=(1, mtime_ns), follow_symlinks=False)


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"X", 3)


def become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("one")


def link_to_one(path: Path) -> None:
    path.unlink()
    os.link(path.with_name("one"), path)


def part(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def later(path: Path) -> None:
    os.utime(path, ns=(1, path.lstat().st_mtime_ns + 1), follow_symlinks=False)


DIFFERENCES: dict[str, tuple[str, Change, str]] = {
    "missing": ("folder/file", Path.unlink, "folder/file: only in the first"),
    "added": ("new", Path.touch, "new: only in the second"),
    "type": ("two", become_link, "two: file != link"),
    "mode": ("folder/file", lambda path: path.chmod(0o4711), "folder/file: mode '0644' != '4711'"),
    "folder's mode": ("folder", lambda path: path.chmod(0o700), "folder: mode '0755' != '0700'"),
    "xattr's value": (
        "folder/file",
        lambda path: os.setxattr(path, "user.kept", b"\0w"),
        "folder/file: xattrs {'user.kept': b'\\x00v'} != {'user.kept': b'\\x00w'}",
    ),
    "xattr of a folder": (
        "folder/below",
        lambda path: os.setxattr(path, "user.new", b""),
        "folder/below: xattrs {} != {'user.new': b''}",
    ),
    "size": ("folder/empty", lambda path: path.write_bytes(b"x"), "folder/empty: size 0 != 1"),
    "a byte": ("folder/file", flip, "folder/file: content differs from byte 3 on"),
    "a byte in a hole": ("holes", flip, "holes: content differs from byte 3 on"),
    "target": ("link", relink, "link: target b'folder/file' != b'elsewhere'"),
    "one file more": ("two", link_to_one, "one, one-again, two: one file in the second only"),
    "one file less": ("one-again", part, "one, one-again: one file in the first only"),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_each_kind_of_difference_is_told(pair: tuple[Path, Path], kind: str) -> None:
    name, change, sentence = DIFFERENCES[kind]
    keep_times(pair[1] / name, change)

    found = compare(*pair)

    assert sentence in found
    assert {re.split(": |,", each)[0] for each in found} <= {name, "one"}


@pytest.mark.parametrize("name", ["", "folder", "folder/file", "link", "fifo"])
def test_a_nanosecond_is_told(pair: tuple[Path, Path], name: str) -> None:
    later(pair[1] / name)

    base = 10**18 + 7
    assert compare(*pair) == [f"{name or '.'}: mtime_ns {base} != {base + 1}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["folder", "folder/file", "link", "fifo"])
def test_owners_are_told(pair: tuple[Path, Path], name: str) -> None:
    os.chown(pair[1] / name, 12, 34, follow_symlinks=False)

    assert compare(*pair) == [f"{name}: owner 0 != 12", f"{name}: group 0 != 34"]


def test_devices_are_told(pair: tuple[Path, Path]) -> None:
    for root, minor in zip(pair, (3, 5), strict=True):
        try:
            os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, minor))
        except PermissionError:
            pytest.skip("only root makes devices")
        for path in (root / "device", root):
            os.utime(path, ns=(1, 1))

    assert compare(*pair) == [f"device: device {os.makedev(1, 3)} != {os.makedev(1, 5)}"]


def test_equal_trees_have_no_difference(pair: tuple[Path, Path]) -> None:
    assert compare(*pair, with_holes=True) == []


def test_a_tree_that_is_not_there_is_told(pair: tuple[Path, Path]) -> None:
    shutil.rmtree(pair[1])

    assert compare(*pair) == [".: only in the first", "one, one-again: one file in the first only"]


def test_every_difference_is_told_not_only_the_first(pair: tuple[Path, Path]) -> None:
    for name in ("one", "three", os.fsdecode(b"not-\xff-utf8")):
        keep_times(pair[1] / name, lambda path: path.chmod(0o600))

    found = compare(*pair)

    assert [each.partition(":")[0] for each in found] == [
        "not-\\xff-utf8",
        "one",
        "one-again",
        "three",
    ]


def test_filled_holes_are_told_where_asked_for(pair: tuple[Path, Path]) -> None:
    keep_times(pair[1] / "holes", lambda path: path.write_bytes(path.read_bytes()))

    assert compare(*pair) == []
    assert [each.partition(":")[0] for each in compare(*pair, with_holes=True)] == ["holes"]


def test_no_link_is_followed(pair: tuple[Path, Path]) -> None:
    """A restored link may point to anything; two that point to the same say so by their target."""
    for root, content in zip(pair, ("a", "b"), strict=True):
        (root.parent / content).write_text(content)
        (root / "out").symlink_to(root.parent / content)
        (root / "out-folder").symlink_to("/")
        for path in (root / "out", root / "out-folder", root):
            os.utime(path, ns=(1, 1), follow_symlinks=False)

    assert [each.partition(" b'")[0] for each in compare(*pair)] == ["out: target"]


def test_access_control_lists_are_told(pair: tuple[Path, Path]) -> None:
    """The kernel's own form: version 2, then tag, permissions, id; user 12 may read."""
    entries = ((1, 6, -1), (2, 4, 12), (4, 4, -1), (16, 4, -1), (32, 4, -1))
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(pair[1] / "two", "system.posix_acl_access", struct.pack("<I", 2) + packed)

    assert any("system.posix_acl_access" in each for each in compare(*pair))
