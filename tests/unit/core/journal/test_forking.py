"""No child of a fork inherits SQLite's locks."""

import os
import select
import threading
from pathlib import Path

import pytest
from tests.support.journals import an_event

from resile.core.journal import open_journal, verify_journal
from resile.core.journal.forking import ForkGate

FORKS = 15
CHILD_S_MAX = 5.0
"""One that waits for a lock that nobody holds gives up after 10 s."""


@pytest.mark.slow
def test_a_child_appends_although_it_was_forked_amid_an_append(tmp_path: Path) -> None:
    """Each child of a busy process opens the journal anew, as `resile.run` does after a fork."""
    folder = tmp_path / "journal"
    is_over = threading.Event()
    with_open = open_journal(folder)

    def append() -> None:
        while not is_over.is_set():
            with_open.append(an_event())

    threads = [threading.Thread(target=append) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        codes = [exit_code_of_child(folder) for _ in range(FORKS)]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        with_open.close()

    assert codes == [0] * FORKS
    verify_journal(folder)


def exit_code_of_child(folder: Path) -> int:
    """Fork a child that appends; give how it ended, -9 if it had to be killed."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            open_journal(folder).append(an_event())
            code = 0
        finally:
            os._exit(code)
    pidfd = os.pidfd_open(pid)
    if not select.select([pidfd], [], [], CHILD_S_MAX)[0]:
        os.kill(pid, 9)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_waits_for_a_thread_that_is_inside() -> None:
    gate = ForkGate()
    steps: list[str] = []
    is_inside, may_leave = threading.Event(), threading.Event()

    def work() -> None:
        with gate.inside():
            is_inside.set()
            may_leave.wait()
            steps.append("left")

    worker = threading.Thread(target=work)
    worker.start()
    is_inside.wait()
    forker = threading.Thread(target=lambda: (gate.before(), steps.append("forked")))
    forker.start()
    may_leave.set()
    worker.join()
    forker.join()

    assert steps == ["left", "forked"]


def test_a_thread_waits_for_a_fork() -> None:
    gate = ForkGate()
    steps: list[str] = []

    def work() -> None:
        with gate.inside():
            steps.append("inside")

    gate.before()
    worker = threading.Thread(target=work)
    worker.start()
    steps.append("forked")
    gate.after_in_parent()
    worker.join()

    assert steps == ["forked", "inside"]


def test_a_thread_may_fork_while_it_is_inside() -> None:
    gate = ForkGate(wait_s=60.0)

    with gate.inside(), gate.inside():
        gate.before()
        gate.after_in_parent()
    gate.before()
    gate.after_in_parent()


def test_a_fork_does_not_wait_for_ever() -> None:
    gate = ForkGate(wait_s=0.0)
    is_inside, may_leave = threading.Event(), threading.Event()

    def work() -> None:
        with gate.inside():
            is_inside.set()
            may_leave.wait()

    worker = threading.Thread(target=work)
    worker.start()
    is_inside.wait()
    gate.before()
    gate.after_in_parent()
    may_leave.set()
    worker.join()


def test_a_child_begins_anew() -> None:
    """What its parent's threads were doing is nothing that the child waits for."""
    gate = ForkGate(wait_s=60.0)
    is_inside, may_leave = threading.Event(), threading.Event()

    def work() -> None:
        with gate.inside():
            is_inside.set()
            may_leave.wait()

    worker = threading.Thread(target=work)
    worker.start()
    is_inside.wait()
    gate.after_in_child()
    gate.before()
    gate.after_in_parent()
    with gate.inside():
        gate.after_in_child()
        gate.before()
        gate.after_in_parent()
    may_leave.set()
    worker.join()
