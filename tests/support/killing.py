"""Kill a child of ours at the n-th step of its work: a statement of SQLite, or a step of a durable write.

A kill takes nothing from the kernel's memory; for what a power cut takes see `tests.support.crashes`.
"""

import os
import signal
import sqlite3
import struct
from collections.abc import Callable
from typing import Any

import pytest

from resile.testing import FaultyFiles

NEVER = 10**9


class _Steps:
    left = NEVER


def step() -> None:
    """Be one step nearer to the end, or at it."""
    _Steps.left -= 1
    if _Steps.left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


class KillingConnection(sqlite3.Connection):
    """A connection whose process is killed before one of its statements."""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        step()
        # So these tests need not wait for the disk.
        return super().execute(sql.replace("synchronous = full", "synchronous = off"), *args)


class KillingFiles(FaultyFiles):
    """Files whose process is killed before one of their steps."""

    def _step(self) -> None:
        step()


def use_killing_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever connects to SQLite get a connection whose statements are steps."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3,
        "connect",
        lambda *args, **kwargs: connect(*args, **{"factory": KillingConnection, **kwargs}),
    )


def die_at(at: int, work: Callable[[Callable[[int], None]], None]) -> tuple[bool, list[int]]:
    """Do work in a child that is killed at a step; give whether it was, and what it noted before."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            _Steps.left = at
            work(lambda number: os.write(write_fd, struct.pack("i", number)) and None)
            code = 0
        finally:
            os._exit(code)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as pipe:
        notes = [number for (number,) in struct.iter_unpack("i", pipe.read())]
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status), notes
