"""Files without a name that a process holds open."""

import os
from pathlib import Path

import pytest

from resile.contain.unlinked import unlinked_in

SIZE = 1 << 20
ME = (os.getpid(),)


@pytest.fixture
def held(tmp_path: Path):
    """A file that is open and has no name any more."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    fd = opened(workspace / "file")
    (workspace / "file").unlink()
    yield workspace, fd
    os.close(fd)


def opened(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * SIZE)
    os.fsync(fd)  # Some file systems give blocks late.
    return fd


def test_nameless_file_counts_with_what_it_takes(held) -> None:
    size, count = unlinked_in([held[0]], ME)

    assert count == 1
    assert SIZE <= size < 2 * SIZE


def test_file_that_is_held_twice_counts_once(held) -> None:
    again = os.dup(held[1])

    assert unlinked_in([held[0]], (*ME, *ME))[1] == 1

    os.close(again)


def test_what_has_another_name_or_lies_elsewhere_does_not_count(held, tmp_path: Path) -> None:
    workspace, _ = held
    linked = opened(workspace / "one")
    os.link(workspace / "one", workspace / "two")
    (workspace / "one").unlink()
    elsewhere = opened(tmp_path / "workspace-2")
    (tmp_path / "workspace-2").unlink()
    memory = os.memfd_create("workspace")
    (workspace / "odd (deleted)").touch()
    named = os.open(workspace / "odd (deleted)", os.O_RDONLY)

    assert unlinked_in([workspace], ME)[1] == 1
    assert unlinked_in([tmp_path], ME)[1] == 2
    assert unlinked_in([], ME) == (0, 0)

    for fd in (linked, elsewhere, memory, named):
        os.close(fd)


def test_process_that_is_gone_is_passed_over(held) -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)

    assert unlinked_in([held[0]], (pid, *ME))[1] == 1


def test_no_more_is_looked_at_than_is_allowed(held) -> None:
    assert unlinked_in([held[0]], ME, looked_at_max=0) == (0, 0)
