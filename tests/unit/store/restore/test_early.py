"""The disk writes early, and what it refuses is told."""

import errno
import threading

import pytest

from resile.store.restore.early import writing_early

PATIENCE_S = 20


def test_the_disk_is_asked_while_the_work_goes_on() -> None:
    asked = threading.Event()
    seen = []

    def sync(fd: int) -> None:
        seen.append(fd)
        asked.set()

    with writing_early(7, sync):
        assert asked.wait(PATIENCE_S)

    assert set(seen) == {7}


def test_what_the_disk_refuses_is_raised_at_the_end() -> None:
    """It tells a failure once: who would ask again later would be told that all is well."""
    asked = threading.Event()
    done = []

    def sync(fd: int) -> None:
        asked.set()
        raise OSError(errno.EIO, "Input/output error")

    def work() -> None:
        with writing_early(7, sync):
            asked.wait(PATIENCE_S)
            done.append("the rest")

    with pytest.raises(OSError, match="Input/output error"):
        work()

    assert done == ["the rest"]


def test_what_the_work_fails_with_comes_first() -> None:
    def work() -> None:
        with writing_early(7, lambda fd: None):
            raise KeyError("work")

    with pytest.raises(KeyError, match="work"):
        work()

    assert not any(thread.name == "resile-early-sync" for thread in threading.enumerate())
