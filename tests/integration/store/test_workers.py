"""Worker processes answer, tell what failed, and never outlive whoever started them."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.errors import OperationError, StoreDamagedError, StoreError
from resile.store.workers import Worker, Workers

SERVE, FAULTY = "tests.support.worker_tasks:serve", "tests.support.worker_tasks:faulty"
SETUP = {"key": b"\0\xff", "count": 3, "names": ("a", None)}
PARENT = f"""
import sys
from resile.store.workers import Worker, Workers
workers = Workers({SERVE!r}, None)
print(*(worker.call("pid") for worker in workers._all), flush=True)
for _ in range(4):
    workers.submit("wait")
print("busy", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(SERVE, SETUP)
    yield worker
    worker.close()


def test_a_worker_answers_with_plain_values(worker: Worker) -> None:
    big = bytes(3 << 20)

    assert worker.call({"number": 1}) == (SETUP, {"number": 1})
    assert worker.call(big) == (SETUP, big)


def test_what_is_wrong_with_a_store_comes_back_whole(worker: Worker) -> None:
    with pytest.raises(StoreDamagedError, match="packs/ab is damaged") as failure:
        worker.call("damaged")

    error = failure.value
    assert (error.name, error.hint, error.message) == ("packs/ab", "mend it", str(error))
    assert not error.is_transient
    assert worker.call("more") == (SETUP, "more")


@pytest.mark.parametrize(("task", "code"), [("full", errno.ENOSPC), ("broken pipe", errno.EPIPE)])
def test_what_the_system_refuses_comes_back_with_its_number(
    worker: Worker, task: str, code: int
) -> None:
    with pytest.raises(OSError, match=os.strerror(code)) as failure:
        worker.call(task)

    assert failure.value.errno == code


def test_a_fault_of_ours_comes_back_with_its_place() -> None:
    with Workers(FAULTY, None, count=1) as workers:
        failure = workers.submit("missing").exception()

    assert isinstance(failure, AssertionError)
    assert "KeyError: 'missing'" in str(failure)
    assert "worker_tasks.py" in str(failure)


def test_a_worker_that_cannot_get_ready_says_why() -> None:
    with Workers(SERVE, "unready") as workers:
        failure = workers.submit("pid").exception()

    assert isinstance(failure, StoreError)
    assert (failure.message, failure.hint) == ("there is no such place", "take another")
    assert failure.is_transient


def test_a_worker_that_is_killed_in_the_middle_is_told_as_such() -> None:
    with Workers(SERVE, None, count=1) as workers:
        failure = workers.submit("die").exception()
        after = workers.submit("pid").exception()

    for error in (failure, after):
        assert isinstance(error, OperationError)
        assert error.is_transient
        assert "ended by signal 9" in error.message


def test_all_workers_take_tasks() -> None:
    with Workers(SERVE, None) as workers:
        answers = [workers.submit(number) for number in range(30)]

        assert [answer.result() for answer in answers] == [(None, n) for n in range(30)]


def test_whoever_is_interrupted_leaves_no_worker() -> None:
    workers = Workers(SERVE, None)
    fds = [os.pidfd_open(worker.pid) for worker in workers._all]
    answers = [workers.submit("wait") for _ in range(6)]

    def interrupted() -> None:
        with workers:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert all(answer.cancelled() or answer.exception() for answer in answers)
    assert all(map(_is_over, fds))


def test_a_worker_ends_with_its_parent_whatever_it_does() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        fds = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert parent.stdout.readline() == "busy\n"

        parent.send_signal(signal.SIGKILL)

        assert len(fds) == 2
        assert all(map(_is_over, fds))


def test_nothing_is_taken_from_the_folder_that_the_user_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resile").mkdir()
    (tmp_path / "resile" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    with Workers(SERVE, None, count=1) as workers:
        assert workers.submit("here").result() == (None, "here")


def _is_over(fd: int) -> bool:
    """Wait until the process of a pidfd has ended."""
    with os.fdopen(fd):
        return bool(select.select([fd], [], [], 20)[0])
