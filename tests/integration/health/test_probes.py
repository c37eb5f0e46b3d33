"""The sampler of processes, on real ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from resile.core.process import identity_of
from resile.health import ProcessSampler
from resile.testing import FakeClock

FILES = """
import sys
files = [open('/dev/null') for _ in range(int(sys.argv[1]))]
print('ready', flush=True)
while sys.stdin.readline():
    for _ in range(3_000_000): pass
    print('done', flush=True)
"""


def fd_count(path: str) -> int:
    return sum(1 for _ in Path(path).iterdir())


class Child:
    """A process that holds files open and burns CPU when asked to."""

    def __init__(self, stack: ExitStack, files: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FILES, str(files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        stack.callback(self.process.__exit__, None, None, None)
        stack.callback(self.process.kill)
        self.wait_line()
        identity = identity_of(self.process.pid)
        assert identity is not None
        self.pid, self.start_ticks = identity.pid, identity.start_ticks

    def wait_line(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline()

    def burn(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.wait_line()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_sample_tells_what_a_process_uses(stack: ExitStack) -> None:
    child, clock = Child(stack, 20), FakeClock()
    with closing(ProcessSampler(clock=clock)) as sampler:
        assert sampler.watch("api", pid=child.pid, start_ticks=child.start_ticks)
        first = sampler.sample()["api"]
        child.burn()
        clock.advance(10.0)
        second = sampler.sample()["api"]

    assert (first.pid, first.state in "SR", first.threads_count) == (child.pid, True, 1)
    assert first.rss_bytes > 1 << 20
    assert first.fds_count == fd_count(f"/proc/{child.pid}/fd")
    assert first.cpu_share == 0.0
    assert second.cpu_s > first.cpu_s
    assert second.cpu_share == pytest.approx((second.cpu_s - first.cpu_s) / 10)


def test_sample_right_after_another_has_no_share(stack: ExitStack) -> None:
    child = Child(stack, 0)
    with closing(ProcessSampler(clock=FakeClock())) as sampler:
        sampler.watch("api", pid=child.pid, start_ticks=child.start_ticks)
        sampler.sample()

        assert sampler.sample()["api"].cpu_share == 0.0


def test_process_that_ended_is_left_out_and_its_descriptor_closed(stack: ExitStack) -> None:
    child, other = Child(stack, 0), Child(stack, 0)
    before = fd_count("/proc/self/fd")
    with closing(ProcessSampler()) as sampler:
        sampler.watch("gone", pid=child.pid, start_ticks=child.start_ticks)
        sampler.watch("stays", pid=other.pid, start_ticks=other.start_ticks)
        child.process.kill()
        child.process.wait()

        assert set(sampler.sample()) == {"stays"}

        assert fd_count("/proc/self/fd") == before + 1
    assert fd_count("/proc/self/fd") == before


def test_zombie_is_shown_as_one(stack: ExitStack) -> None:
    child = Child(stack, 0)
    with closing(ProcessSampler()) as sampler:
        sampler.watch("api", pid=child.pid, start_ticks=child.start_ticks)
        child.process.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert sampler.sample()["api"].state == "Z"


def test_later_owner_of_the_pid_is_not_watched(stack: ExitStack) -> None:
    child = Child(stack, 0)
    with closing(ProcessSampler()) as sampler:
        assert not sampler.watch("api", pid=child.pid, start_ticks=child.start_ticks - 1)
        child.process.kill()
        child.process.wait()
        assert not sampler.watch("api", pid=child.pid, start_ticks=child.start_ticks)

        assert sampler.sample() == {}


def test_new_process_takes_over_its_name(stack: ExitStack) -> None:
    old, new = Child(stack, 0), Child(stack, 0)
    with closing(ProcessSampler()) as sampler:
        sampler.watch("api", pid=old.pid, start_ticks=old.start_ticks)
        sampler.watch("api", pid=new.pid, start_ticks=new.start_ticks)

        assert sampler.sample()["api"].pid == new.pid

        sampler.forget("api")
        sampler.forget("api")
        assert sampler.sample() == {}
