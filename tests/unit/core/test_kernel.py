"""The system calls that Python does not have."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.core import kernel


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_move_refuses_what_is_there(tmp_path: Path, folder_fd: int) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")

    with pytest.raises(FileExistsError) as caught:
        kernel.move(folder_fd, "a", folder_fd, "b")

    assert (caught.value.filename, caught.value.filename2) == ("a", "b")
    assert (tmp_path / "b").read_text() == "b"


def test_move_takes_names_in_any_bytes(tmp_path: Path, folder_fd: int) -> None:
    (tmp_path / "a").write_text("a")

    kernel.move(folder_fd, b"a", folder_fd, b"\xff\n")

    assert os.listdir(folder_fd) == [os.fsdecode(b"\xff\n")]


def test_exchange_swaps_a_folder_and_a_link(tmp_path: Path, folder_fd: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("nowhere")

    kernel.exchange(folder_fd, "a", folder_fd, "b")

    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "b").is_dir()


def test_exchange_with_nothing_fails(tmp_path: Path, folder_fd: int) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(FileNotFoundError):
        kernel.exchange(folder_fd, "a", folder_fd, "b")


def test_a_file_system_is_synced(folder_fd: int) -> None:
    kernel.sync_file_system(folder_fd)


def test_a_sync_that_fails_says_so() -> None:
    with pytest.raises(OSError) as caught:
        kernel.sync_file_system(-1)

    assert caught.value.errno == errno.EBADF
