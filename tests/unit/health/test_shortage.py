"""What we ourselves lack says nothing of what a check looks at."""

import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from resile.core.spawning import run_bounded
from resile.core.vocabulary import CheckState
from resile.errors import SpawnError
from resile.health import CheckKind, CheckSpec, LookContext, look
from resile.testing import FakeClock


def looked(kind, target="", *, run=run_bounded):
    context = LookContext(
        clock=FakeClock(), run=run, process_of=lambda _: None, silence_s_of=lambda _: 0.0
    )
    return look(CheckSpec(id="c", kind=kind, target=target, command=("true",)), context)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Take the right to open anything more from this process for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_failure_for_want_of_our_own_means_is_no_result(failure, is_wrapped):
    def run(*_args, **_options):
        if is_wrapped:
            raise SpawnError("cannot start it") from failure
        raise failure

    result = looked(CheckKind.COMMAND, run=run)

    assert result.state is CheckState.UNKNOWN
    assert result.reason.startswith("could not look: ")


def test_command_that_cannot_be_started_is_down_all_the_same():
    def run(*_args, **_options):
        raise SpawnError("cannot start it") from FileNotFoundError(errno.ENOENT, "gone")

    assert looked(CheckKind.COMMAND, run=run).state is CheckState.DOWN


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (CheckKind.HTTP, "http://127.0.0.1:1/"),
        (CheckKind.TCP, "127.0.0.1:1"),
        (CheckKind.UNIX, "/nowhere"),
        (CheckKind.POSTGRES, "host=127.0.0.1 port=1"),
        (CheckKind.MEMORY, ""),
        (CheckKind.COMMAND, ""),
    ],
)
def test_every_kind_is_unknown_when_we_have_no_descriptors(kind, target):
    with no_descriptors():
        result = looked(kind, target)

    assert result.state is CheckState.UNKNOWN


def test_database_that_we_cannot_open_for_want_of_descriptors_is_unknown(tmp_path):
    file: Path = tmp_path / "a.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE t (x)")

    with no_descriptors():
        result = looked(CheckKind.SQLITE, str(file))

    assert result.state is CheckState.UNKNOWN
