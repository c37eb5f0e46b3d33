"""A store in a folder on a disk that fails, lies, fills up or loses its power, at every step."""

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.errors import StoreDamagedError, StoreError
from resile.store.backends import put
from resile.store.backends.local import LocalBackend
from resile.testing import Crash
from resile.testing.disk import FaultyDisk

PACK = "packs/" + "3f" * 32
CONTENT = bytes(range(256)) * (10 << 10)
"""2.5 MiB: some goes through the buffer and some past it."""


def crashed(folder: Path, number: int, *, is_power_cut: bool) -> bool:
    """Publish on a disk that crashes at a step; False if there are fewer steps."""
    disk = FaultyDisk(crash_at=number)
    try:
        publish(LocalBackend(folder, disk=disk))
    except Crash:
        return True
    finally:
        if is_power_cut:
            disk.power_cut()
    return False


def publish(backend: LocalBackend) -> bool:
    upload = backend.begin()
    try:
        for start in range(0, len(CONTENT), 600_000):
            upload.write(CONTENT[start : start + 600_000])
        return upload.publish(PACK)
    finally:
        upload.abandon()


def failure(backend: LocalBackend) -> StoreError | None:
    try:
        publish(backend)
    except StoreError as exc:
        return exc
    return None


def content(folder: Path) -> bytes | None:
    try:
        return LocalBackend(folder).read(PACK)
    except StoreDamagedError:
        return None


def steps(folder: Path) -> list[str]:
    disk = FaultyDisk()
    publish(LocalBackend(folder, disk=disk))
    return disk.steps


def numbers(folder: Path, name: str) -> Iterator[int]:
    """Give the numbers of the steps of a kind that a publication has."""
    return (n for n, step in enumerate(steps(folder), 1) if step == name)


@pytest.mark.parametrize("is_power_cut", [False, True], ids=["process", "power"])
def test_a_crash_at_any_step_leaves_no_file_or_a_whole_one(
    tmp_path: Path, is_power_cut: bool
) -> None:
    seen: list[bool] = []
    for number in itertools.count(1):
        folder = tmp_path / f"{number}"
        if not crashed(folder, number, is_power_cut=is_power_cut):
            break
        after = content(folder)
        assert after in (None, CONTENT), f"step {number}"
        seen.append(after is not None)

        backend = LocalBackend(folder)
        backend.sweep()
        assert backend.sweep() == 0
        assert list(folder.glob("tmp/*")) == []
        assert put(backend, PACK, CONTENT) is (after is None)
        assert backend.read(PACK) == CONTENT

    assert len(seen) > 10
    assert content(tmp_path / f"{number}") == CONTENT
    assert seen == sorted(seen), "once it is there, it stays"


def test_what_is_published_outlives_a_power_cut(tmp_path: Path) -> None:
    disk = FaultyDisk()
    backend = LocalBackend(tmp_path / "a" / "b", disk=disk)
    publish(backend)
    put(backend, "format", b"f")
    disk.power_cut()

    assert content(tmp_path / "a" / "b") == CONTENT
    assert backend.read("format") == b"f"


def test_a_name_found_taken_outlives_a_power_cut(tmp_path: Path) -> None:
    """Another process linked it and has not synced its folder yet: whoever counts on it must."""
    disk = FaultyDisk()
    publish(LocalBackend(tmp_path))

    assert not publish(LocalBackend(tmp_path, disk=disk))

    assert disk.steps[-3:] == ["link", "sync", "remove"]


def test_removing_and_moving_are_durable(tmp_path: Path) -> None:
    disk = FaultyDisk()
    backend = LocalBackend(tmp_path, disk=disk)
    for name in ("packs/a", "packs/b", "quarantine/b"):
        put(backend, name, name.encode())

    backend.remove("packs/a")
    backend.move("packs/b", "quarantine/b")
    disk.power_cut()

    assert list(backend.list("packs")) == []
    assert backend.read("quarantine/b") == b"packs/b"


@pytest.mark.parametrize("is_power_cut", [False, True], ids=["process", "power"])
def test_a_crash_amid_a_move_loses_nothing(tmp_path: Path, is_power_cut: bool) -> None:
    for number in itertools.count(1):
        folder = tmp_path / f"{number}"
        put(LocalBackend(folder), "packs/a", b"a")
        disk = FaultyDisk(crash_at=number)
        try:
            LocalBackend(folder, disk=disk).move("packs/a", "quarantine/a")
        except Crash:
            pass
        else:
            break
        if is_power_cut:
            disk.power_cut()
        backend = LocalBackend(folder)
        found = [*backend.list("packs"), *backend.list("quarantine")]
        assert [backend.read(file.name) for file in found] == [b"a"]
    assert number > 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_failure_at_any_step_is_told_and_leaves_no_file_or_a_whole_one(
    tmp_path: Path, number: int
) -> None:
    told = 0
    all_steps = steps(tmp_path / "none")
    for at in range(1, len(all_steps) + 1):
        folder = tmp_path / f"{at}"
        disk = FaultyDisk(fail_at=at, error=OSError(number, os.strerror(number)))
        error = failure(LocalBackend(folder, disk=disk))

        after = content(folder)
        assert after in (None, CONTENT)
        if error is None:
            assert after == CONTENT
        else:
            told += 1
            assert os.strerror(number) in error.message
            assert str(folder) in error.message
            assert error.hint
            assert not isinstance(error, StoreDamagedError)
            assert list(folder.glob("tmp/*")) == []
        assert publish(LocalBackend(folder)) is (after is None)

    assert told == len(all_steps) - 1, "the last one, in tmp/, may fail: a sweep comes"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_nothing_is_published_after_a_write_that_failed(tmp_path: Path, error: int) -> None:
    found = list(numbers(tmp_path / "none", "write"))
    assert len(found) >= 3

    for number in found:
        folder = tmp_path / f"{number}"
        disk = FaultyDisk(fail_at=number, error=OSError(error, os.strerror(error)))
        with pytest.raises(StoreError):
            publish(LocalBackend(folder, disk=disk))
        assert "link" not in disk.steps
        assert content(folder) is None


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    *_, last_write = numbers(tmp_path / "none", "write")
    disk = FaultyDisk(fail_at=last_write + 1, error=OSError(errno.EIO, "Input/output error"))
    upload = LocalBackend(tmp_path / "store", disk=disk).begin()
    for start in range(0, len(CONTENT), 600_000):
        upload.write(CONTENT[start : start + 600_000])

    with pytest.raises(StoreError, match="Input/output error") as first:
        upload.publish(PACK)
    done = list(disk.steps)
    with pytest.raises(StoreError) as second:
        upload.publish(PACK)
    with pytest.raises(StoreError):
        upload.write(b"y")

    assert second.value is first.value
    assert disk.steps == done
    assert done[-2:] == ["sync", "remove"]


def test_a_write_that_was_not_done_is_noticed(tmp_path: Path) -> None:
    for number in numbers(tmp_path / "none", "write"):
        folder = tmp_path / f"{number}"
        with pytest.raises(StoreError, match=r"kept \d+ bytes of 2621440") as caught:
            publish(LocalBackend(folder, disk=FaultyDisk(lie_at=number)))
        assert "dmesg" in caught.value.hint
        assert content(folder) is None


def test_short_writes_go_on(tmp_path: Path) -> None:
    disk = FaultyDisk(write_bytes_max=100_001)

    assert publish(LocalBackend(tmp_path, disk=disk))

    assert content(tmp_path) == CONTENT
    assert disk.steps.count("write") > 20


def test_a_disk_that_takes_nothing_is_not_asked_for_ever(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="took 0 bytes"):
        publish(LocalBackend(tmp_path, disk=FaultyDisk(write_bytes_max=0)))


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_is_named(tmp_path: Path, error: int) -> None:
    (number,) = numbers(tmp_path / "none", "link")
    disk = FaultyDisk(fail_at=number, error=OSError(error, os.strerror(error)))

    with pytest.raises(StoreError) as caught:
        publish(LocalBackend(tmp_path / "store", disk=disk))

    assert "hard links" in caught.value.hint


@pytest.mark.parametrize("method", ["remove", "move", "sweep"])
def test_every_other_change_that_fails_is_told(tmp_path: Path, method: str) -> None:
    put(LocalBackend(tmp_path), "packs/a", b"a")
    (tmp_path / "tmp" / "left").write_bytes(b"half")
    backend = LocalBackend(
        tmp_path, disk=FaultyDisk(fail_at=1, error=OSError(errno.EROFS, "Read-only file system"))
    )
    uses = {
        "remove": lambda: backend.remove("packs/a"),
        "move": lambda: backend.move("packs/a", "quarantine/a"),
        "sweep": backend.sweep,
    }

    with pytest.raises(StoreError, match="Read-only file system") as caught:
        uses[method]()

    assert "read-only" in caught.value.hint
    assert LocalBackend(tmp_path).read("packs/a") == b"a"
