import os
import stat
from pathlib import Path

import pytest

from resile.core.files import (
    FileLock,
    SystemFiles,
    _holder,
    lock_file,
    make_private_dir,
    try_lock,
    write_durable,
)
from resile.errors import AlreadyRunningError, OperationError
from resile.testing import Crash, FaultyFiles

STEPS = 5
"""Of a durable write: create (three), replace, sync the folder."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_content_is_written_and_private(tmp_path: Path) -> None:
    write_durable(tmp_path / "state", b"content")

    assert (tmp_path / "state").read_bytes() == b"content"
    assert mode_of(tmp_path / "state") == 0o600
    assert names(tmp_path) == ["state"]


def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_durable(tmp_path / "page", b"", mode=0o644)
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "page") == 0o644


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")

    write_durable(tmp_path / "state", b"ours")

    assert (tmp_path / "elsewhere").read_bytes() == b"theirs"
    assert not (tmp_path / "state").is_symlink()


def test_a_new_file_does_not_follow_a_link_that_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "trap").symlink_to(tmp_path / "victim")

    with pytest.raises(FileExistsError):
        SystemFiles().create(tmp_path / "trap", b"secret", mode=0o600)

    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("is_power_cut", [False, True], ids=["process", "power"])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_crash_leaves_the_old_content_or_the_new(
    tmp_path: Path, step: int, *, is_power_cut: bool
) -> None:
    path = tmp_path / "state"
    write_durable(path, b"old content")
    files = FaultyFiles(crash_at=step)

    with pytest.raises(Crash):
        write_durable(path, b"new content", files=files)
    if is_power_cut:
        files.power_cut()

    assert path.read_bytes() in (b"old content", b"new content")


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_crash_of_the_first_write_leaves_nothing_or_all(tmp_path: Path, step: int) -> None:
    path = tmp_path / "state"
    files = FaultyFiles(crash_at=step)

    with pytest.raises(Crash):
        write_durable(path, b"content", files=files)
    files.power_cut()

    assert not path.exists() or path.read_bytes() == b"content"


def test_these_are_all_the_steps(tmp_path: Path) -> None:
    files = FaultyFiles(crash_at=STEPS + 1)

    write_durable(tmp_path / "state", b"content", files=files)
    files.power_cut()

    assert files.steps == STEPS
    assert (tmp_path / "state").read_bytes() == b"content"


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_failure_is_told_and_leaves_no_rubbish(tmp_path: Path, step: int) -> None:
    path = tmp_path / "state"
    write_durable(path, b"old")

    with pytest.raises(OperationError, match="No space left on device") as caught:
        write_durable(path, b"new", files=FaultyFiles(fail_at=step))

    assert caught.value.is_transient
    assert "space" in caught.value.hint
    assert path.read_bytes() == (b"new" if step == STEPS else b"old")
    assert names(tmp_path) == ["state"]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="could not be written: No such file"):
        write_durable(tmp_path / "nowhere" / "state", b"")


def test_a_removed_file_stays_away_only_after_the_folder_is_synced(tmp_path: Path) -> None:
    files = FaultyFiles()
    path = tmp_path / "old"
    path.write_bytes(b"content")

    files.remove(path)
    files.power_cut()
    assert path.read_bytes() == b"content"

    files.remove(path)
    files.sync_folder(tmp_path)
    files.power_cut()
    assert not path.exists()


def test_a_missing_file_is_removed_without_complaint(tmp_path: Path) -> None:
    SystemFiles().remove(tmp_path / "never")

    assert names(tmp_path) == []


def test_a_protected_file_cannot_be_written_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(b"")

    FaultyFiles().protect(path)

    assert mode_of(path) & 0o222 == 0


def test_a_folder_is_made_private_with_those_above(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b")

    assert mode_of(tmp_path / "a" / "b") == 0o700


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)

    make_private_dir(folder)
    make_private_dir(folder)

    assert mode_of(folder) == 0o700


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(OperationError, match="is not a folder of this user"):
        make_private_dir(tmp_path / "link")


def test_a_file_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OperationError, match="is not a folder"):
        make_private_dir(tmp_path / "file")


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(OperationError, match="could not be made"):
        make_private_dir(tmp_path / "file" / "below")


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "guard.lock"

    with lock_file(path) as lock:
        assert isinstance(lock, FileLock)
        assert try_lock(path) is None
        with pytest.raises(AlreadyRunningError, match=f"held by process {os.getpid()}"):
            lock_file(path)

    with lock_file(path):
        assert path.read_text() == str(os.getpid())


def test_a_lock_may_be_let_go_twice(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "lock")

    lock.close()
    lock.close()

    with lock_file(tmp_path / "lock"):
        pass


def test_a_holder_that_left_no_note_is_unknown(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "lock")
    assert lock is not None

    with lock, pytest.raises(AlreadyRunningError, match=r"held by process \?"):
        lock_file(tmp_path / "lock")


def test_a_forked_child_neither_keeps_a_lock_nor_lets_it_go(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "lock")
    asked, ask = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        lock.close()
        os.write(tell, b"closed")
        os.close(ask)
        os.read(asked, 1)
        os._exit(0)
    copy_pid = os.fork()
    if not copy_pid:
        os.close(ask)
        os.read(asked, 1)
        os._exit(0)
    try:
        os.read(told, 6)
        held = try_lock(tmp_path / "lock")
        lock.close()
        free = try_lock(tmp_path / "lock")
    finally:
        for fd in (asked, ask, told, tell):
            os.close(fd)
        os.waitpid(pid, 0)
        os.waitpid(copy_pid, 0)

    assert held is None
    assert free is not None
    free.close()


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")

    with pytest.raises(OperationError, match="cannot be opened"):
        try_lock(tmp_path / "lock")

    assert not (tmp_path / "victim").exists()


def test_a_lock_file_that_is_gone_names_nobody(tmp_path: Path) -> None:
    assert _holder(tmp_path / "lock") == "?"
