"""What the kernel tells of processes, from a /proc on paper."""

import signal
from pathlib import Path

import pytest

from resile.daemon.stacks import (
    FRAMES_MAX,
    PROCESSES_MAX,
    THREADS_MAX,
    catches,
    read_stacks,
    tells_its_stack,
)

STATUS = "Name:\tapi (x)\nThreads:\t2\nVmRSS:\t    2048 kB\nSigCgt:\t{mask:016x}\n"
STACK = "[<0>] futex_wait+0x1/0x2\n[<0>] do_syscall_64+0x3/0x4\n"


def process(proc: Path, pid: int, *, mask: int = 0, threads: int = 2) -> Path:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    for fd in range(3):
        (folder / "fd" / str(fd)).touch()
    (folder / "status").write_text(STATUS.format(mask=mask))
    for tid in range(pid, pid + threads):
        task = folder / "task" / str(tid)
        task.mkdir(parents=True)
        (task / "stat").write_text(f"{tid} (api (x)) S 1 2 3")
        (task / "wchan").write_text("futex_wait_queue" if tid == pid else "0")
        (task / "stack").write_text(STACK)
    return folder


def test_each_thread_tells_where_it_waits(tmp_path: Path) -> None:
    process(tmp_path, 7)

    (stack,) = read_stacks([7], proc=tmp_path)

    assert (stack.pid, stack.name, stack.threads_count) == (7, "api (x)", 2)
    assert (stack.fds_count, stack.memory_bytes) == (3, 2048 * 1024)
    main, other = stack.threads
    assert (main.tid, main.name, main.state) == (7, "api (x)", "S")
    assert main.waits_in == "futex_wait_queue"
    assert main.frames == ("futex_wait+0x1/0x2", "do_syscall_64+0x3/0x4")
    assert other.waits_in == ""


def test_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, 7)

    assert [stack.pid for stack in read_stacks([5, 7], proc=tmp_path)] == [7]


def test_thread_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    folder = process(tmp_path, 7)
    (folder / "task" / "8" / "stat").unlink()

    (stack,) = read_stacks([7], proc=tmp_path)

    assert [thread.tid for thread in stack.threads] == [7]


def test_what_may_not_be_known_is_left_out(tmp_path: Path) -> None:
    folder = process(tmp_path, 7)
    (folder / "status").write_text("Name:\tapi\n")
    (folder / "task" / "7" / "stack").unlink()
    (folder / "task" / "7" / "wchan").unlink()
    for entry in (folder / "fd").iterdir():
        entry.unlink()
    (folder / "fd").rmdir()

    (stack,) = read_stacks([7], proc=tmp_path)

    assert (stack.fds_count, stack.memory_bytes, stack.threads_count) == (None, None, 2)
    assert (stack.threads[0].frames, stack.threads[0].waits_in) == ((), "")


def test_look_is_bounded(tmp_path: Path) -> None:
    pids = range(1000, 1000 + 1000 * (PROCESSES_MAX + 2), 1000)
    for pid in pids:
        process(tmp_path, pid, threads=1)
    crowd = process(tmp_path, 1, threads=THREADS_MAX + 5)
    (crowd / "task" / "1" / "stack").write_text(STACK * FRAMES_MAX)

    stacks = read_stacks([1, *pids], proc=tmp_path)

    assert len(stacks) == PROCESSES_MAX
    assert len(stacks[0].threads) == THREADS_MAX
    assert len(stacks[0].threads[0].frames) == FRAMES_MAX


@pytest.mark.parametrize(("mask", "expected"), [(1 << 5, True), (1 << 6, False), (0, False)])
def test_handler_of_a_signal_is_seen(tmp_path: Path, mask: int, *, expected: bool) -> None:
    process(tmp_path, 7, mask=mask)

    assert catches(7, signal.SIGABRT, proc=tmp_path) is expected
    assert tells_its_stack(7, proc=tmp_path) is expected


def test_process_that_is_gone_catches_nothing(tmp_path: Path) -> None:
    assert not catches(7, signal.SIGABRT, proc=tmp_path)
