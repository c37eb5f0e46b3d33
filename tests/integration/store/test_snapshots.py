"""Snapshots of folders as people really have them: what they hold, what is read, what is told."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storing import contents, made, opened, paths_in, restored_differences

from resile.store import (
    EntryType,
    Repository,
    Rules,
    Taken,
    collect,
    find_path,
    forget,
    restore_to,
    take_snapshot,
    verify,
)
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.reading import SMALL_BYTES
from resile.testing import FakeClock

MEMORY = Path("/dev/shm")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a" * 100)
    (folder / "below" / "b").write_bytes(b"b" * 100)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    with made(MemoryBackend(), tmp_path / "cache") as repository:
        yield repository


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Repository]:
    """A store whose clock is years ahead: no file looks as if it had just changed."""
    with made(MemoryBackend(), tmp_path / "late", clock=FakeClock()) as repository:
        yield repository


def why(taken: Taken) -> tuple[int, int, int]:
    return taken.why.new, taken.why.changed, taken.why.touched


# What is kept


def make_nasty(root: Path) -> None:
    """All that a Linux folder can hold, apart from devices."""
    root.mkdir()
    for name in (b"not-\xff\xfe-utf8", b"new\nline", b"tab\t", b" ", b"-rf", b"\xe4\xbd\xa0", b"*"):
        (root / os.fsdecode(name)).write_bytes(name)
    (root / ("n" * 255)).write_bytes(b"long")
    (root / "empty").touch()
    (root / "big").write_bytes(os.urandom(3 * SMALL_BYTES + 7))
    (root / "hard1").write_bytes(b"hard")
    os.link(root / "hard1", root / "hard2")
    (root / "link").symlink_to("nowhere/at/all")
    (root / "loop").symlink_to("loop")
    (root / os.fsdecode(b"link-\xff")).symlink_to(os.fsdecode(b"\xff"))
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo", 0o640)
    with (root / "holes").open("wb") as file:
        file.seek(4 << 20)
        file.write(b"data")
        file.truncate(9 << 20)
    with (root / "all-hole").open("wb") as file:
        file.truncate(3 << 20)
    (root / "closed").mkdir(mode=0o700)
    (root / "closed" / "setuid").write_bytes(b"s")
    (root / "closed" / "setuid").chmod(0o4755)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    os.setxattr(root / "empty", "user.note", b"\x00\xff")
    os.setxattr(root / "sticky", "user.folder", b"kept")
    for path in (root / "big", root / "sticky", root):
        os.utime(path, ns=(123, -(10**18) + 7))
    os.utime(root / "empty", ns=(0, 15_000_000_000 * 10**9))


def test_everything_that_a_folder_can_hold_comes_back(store: Repository, tmp_path: Path) -> None:
    source = tmp_path / "nasty"
    make_nasty(source)
    if os.geteuid() == 0:
        os.mknod(source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(source / "block", stat.S_IFBLK | 0o600, os.makedev(7, 99))
        os.chown(source / "empty", 1234, 5678)

    taken = take_snapshot(store, source)

    assert taken.snapshot.unread == ()
    assert restored_differences(store, taken.snapshot.root, source, tmp_path / "back") == []
    assert (tmp_path / "back" / "holes").stat().st_blocks * 512 < 1 << 20
    assert verify(store, data=True).is_sound


def test_access_lists_come_back(store: Repository, source: Path, tmp_path: Path) -> None:
    """`user::rw- user:1000:r-- group::r-- mask::r-- other::---`, as the kernel has it."""
    entries = [(1, 6, 2**32 - 1), (2, 4, 1000), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1)]
    entries.append((32, 0, 2**32 - 1))
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, bits, who in entries
    )
    try:
        os.setxattr(source / "a", "system.posix_acl_access", value)
        os.setxattr(source / "below", "system.posix_acl_default", value)
    except OSError as exc:
        pytest.skip(f"this file system has no access lists: {exc}")

    taken = take_snapshot(store, source)

    assert restored_differences(store, taken.snapshot.root, source, tmp_path / "back") == []


def test_a_folder_of_very_many_entries_is_kept_in_parts(store: Repository) -> None:
    # In memory: a disk needs seconds for so many names.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as source:
        fd = os.open(source, os.O_RDONLY)
        for i in range(12_000):
            os.symlink(f"{i}", f"{i:05}", dir_fd=fd)
        os.close(fd)

        root = take_snapshot(store, Path(source)).snapshot.root

    entries, parts = store.tree_with_parts(root.tree)
    assert len(parts) == 2
    assert [entry.target for entry in entries] == [b"%d" % i for i in range(12_000)]
    assert find_path(store, root, b"11999").target == b"11999"
    assert verify(store, data=True).is_sound


def test_folders_that_nest_too_deeply_are_told(store: Repository, tmp_path: Path) -> None:
    source = tmp_path / "deep"
    source.mkdir()
    fds = [os.open(source, os.O_RDONLY)]
    for _ in range(300):
        os.mkdir("d", dir_fd=fds[-1])
        fds.append(os.open("d", os.O_RDONLY, dir_fd=fds[-1]))
    for fd in fds:
        os.close(fd)

    taken = take_snapshot(store, source)

    (unread,) = taken.snapshot.unread
    assert "deeper than 256" in unread.reason
    assert unread.path.count("/") == 256
    assert len(paths_in(store, taken.snapshot.root)) == 256
    assert verify(store).is_sound


def test_sockets_are_left_out_and_cost_nothing_later(late: Repository, source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
        root = take_snapshot(late, source).snapshot.root

        assert paths_in(late, root) == {b"a", b"below", b"below/b"}
        assert not take_snapshot(late, source).is_changed


def test_the_store_and_its_catalog_are_never_in_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache") as store:
        first = take_snapshot(store, tmp_path)
        second = take_snapshot(store, tmp_path)

        assert paths_in(store, first.snapshot.root) == {b"file", b"cache"}
        assert not second.is_changed


def test_what_is_excluded_is_left_out(store: Repository, source: Path) -> None:
    (source / "x.tmp").touch()
    (source / "below" / "y.tmp").touch()
    (source / "below" / "c").touch()

    rules = Rules(excludes=("*.tmp", "below/c"))
    root = take_snapshot(store, source, rules=rules).snapshot.root

    assert paths_in(store, root) == {b"a", b"below", b"below/b"}


# What is read again


def reads(store: Repository, source: Path) -> tuple[Taken, int]:
    """Take a snapshot; give how many bytes the process read of files meanwhile."""

    def counted() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar")).split()[1])

    before = counted()
    taken = take_snapshot(store, source)
    return taken, counted() - before


def test_unchanged_files_are_not_read_again(late: Repository, source: Path) -> None:
    (source / "big").write_bytes(os.urandom(8 << 20))
    first, first_bytes = reads(late, source)
    (source / "below" / "b").write_bytes(b"changed")
    second, second_bytes = reads(late, source)

    assert first_bytes > 8 << 20
    assert second_bytes < 1 << 20
    assert why(first) == (3, 0, 0)
    assert why(second) == (0, 1, 0)
    third = take_snapshot(late, source)
    assert why(third) == (0, 0, 0)
    assert not third.is_changed
    assert third.snapshot.root.tree == second.snapshot.root.tree


def test_other_rules_read_only_what_they_add(late: Repository, source: Path) -> None:
    (source / "build").mkdir()
    for name in ("a.tmp", "below/b.tmp", "build/c"):
        (source / name).write_bytes(b"left out")
    take_snapshot(late, source, rules=Rules(excludes=("*.tmp",)))

    fewer = take_snapshot(late, source, rules=Rules(excludes=("*.tmp", "build")))
    more = take_snapshot(late, source, rules=Rules(excludes=("build",)))

    assert why(fewer) == (0, 0, 0)
    assert why(more) == (2, 0, 0)
    assert more.snapshot.excludes == ("build",)


def test_a_file_whose_ctime_alone_differs_is_hashed_and_told(
    late: Repository, source: Path
) -> None:
    take_snapshot(late, source)
    os.utime(source / "a", ns=(1, (source / "a").stat().st_mtime_ns))

    taken = take_snapshot(late, source)

    assert why(taken) == (0, 0, 1)
    assert taken.snapshot.counts.new_bytes == 0
    assert not taken.is_changed


def test_a_change_that_no_time_shows_is_seen_if_the_file_was_young(
    store: Repository, source: Path
) -> None:
    """The kernel's clock for files ticks so slowly that two writes may look alike."""
    for content in (b"1" * 100, b"2" * 100, b"3" * 100):
        (source / "a").write_bytes(content)
        root = take_snapshot(store, source).snapshot.root
        assert contents(store, root)[b"a"] == content


@pytest.mark.parametrize("what", ["mode", "time", "attribute", "removed", "replaced", "renamed"])
def test_every_sort_of_change_is_seen(late: Repository, source: Path, what: str) -> None:
    take_snapshot(late, source)
    path = source / "below" / "b"
    if what == "mode":
        path.chmod(0o600)
    elif what == "time":
        os.utime(path, ns=(5, 5))
    elif what == "attribute":
        os.setxattr(path, "user.a", b"1")
    elif what == "removed":
        path.unlink()
    elif what == "replaced":
        path.unlink()
        path.symlink_to("elsewhere")
    else:
        path.rename(path.with_name("c"))

    taken = take_snapshot(late, source)

    assert taken.is_changed
    assert restored_differences(late, taken.snapshot.root, source, source.parent / "back") == []


@pytest.mark.parametrize("what", ["mode", "attribute"])
@pytest.mark.parametrize("which", ["", "below"])
def test_a_change_of_a_folder_alone_is_seen(
    late: Repository, source: Path, what: str, which: str
) -> None:
    take_snapshot(late, source)
    if what == "mode":
        (source / which).chmod(0o711)
    else:
        os.setxattr(source / which, "user.a", b"1")

    taken = take_snapshot(late, source)

    assert taken.is_changed
    assert restored_differences(late, taken.snapshot.root, source, source.parent / "back") == []


def test_a_folder_keeps_its_attributes_when_what_is_known_of_it_is_not_relied_on(
    late: Repository, source: Path, tmp_path: Path
) -> None:
    """Its snapshot was forgotten, or a pack has gone by itself."""
    os.setxattr(source / "below", "user.a", b"1")
    first = take_snapshot(late, source).snapshot
    late.catalog.doubt()
    second = take_snapshot(late, source).snapshot
    (source / "c").touch()
    forget(late, [first, second])
    third = take_snapshot(late, source).snapshot

    for number, one in enumerate((second, third)):
        entry = find_path(late, one.root, b"below")
        assert entry.xattrs == {"user.a": b"1"}, number


# What is gone from the store is not relied on


def test_a_source_is_read_again_when_its_snapshots_were_forgotten(
    late: Repository, source: Path, tmp_path: Path
) -> None:
    first = take_snapshot(late, source)
    forget(late, [first.snapshot])
    collect(late, grace_s=0)

    second = take_snapshot(late, source)

    assert verify(late, data=True).is_sound
    assert restored_differences(late, second.snapshot.root, source, tmp_path / "back") == []


def test_what_another_machine_removed_is_not_relied_on(source: Path, tmp_path: Path) -> None:
    """Two machines with catalogs of their own; one still has the store open."""
    with made(LocalBackend(tmp_path / "store"), tmp_path / "one", clock=FakeClock()) as one:
        first = take_snapshot(one, source)
        with opened(tmp_path / "store", tmp_path / "two", clock=FakeClock()) as two:
            forget(two, two.snapshots())
            assert collect(two, grace_s=0).removed > 0

        second = take_snapshot(one, source)

        assert second.snapshot.parent == ""
        assert first.snapshot.snapshot_id not in {s.snapshot_id for s in one.snapshots()}
        assert verify(one, data=True).is_sound
        assert contents(one, second.snapshot.root)[b"a"] == b"a" * 100


def test_lost_packs_are_filled_from_the_source_by_the_next_snapshot(
    source: Path, tmp_path: Path
) -> None:
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache", clock=FakeClock()) as store:
        first = take_snapshot(store, source).snapshot
        for pack in (tmp_path / "store" / "packs").iterdir():
            pack.unlink()

        take_snapshot(store, source)

        assert verify(store, data=True).is_sound
        assert contents(store, first.root)[b"a"] == b"a" * 100


def test_a_clock_that_goes_back_changes_nothing(source: Path, tmp_path: Path) -> None:
    """What is compared, and counted on, is what was seen last, whatever its time."""
    clock = FakeClock()
    with made(MemoryBackend(), tmp_path / "cache", clock=clock) as store:
        take_snapshot(store, source)
        for content in (b"1", b"22", b"333"):
            clock.jump(-3600)
            (source / "a").write_bytes(content)
            taken = take_snapshot(store, source, changed=frozenset([b""]))

            assert taken.is_changed
            assert taken.snapshot.counts.bytes == 100 + len(content)
            assert not take_snapshot(store, source).is_changed


def test_a_restored_folder_has_the_same_tree(
    late: Repository, source: Path, tmp_path: Path
) -> None:
    first = take_snapshot(late, source).snapshot
    restore_to(tmp_path / "back", first.root, late)

    second = take_snapshot(late, tmp_path / "back").snapshot

    assert second.root.tree == first.root.tree
    assert second.counts.new_bytes == 0
    assert find_path(late, second.root, b"below/b").type is EntryType.FILE
