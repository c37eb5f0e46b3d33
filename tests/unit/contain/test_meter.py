"""What a run uses: counters since its beginning, and the share of the processor over time."""

import os

from resile.contain import CgroupUsage, Limits
from resile.contain.meter import CALM_S, LOOKS_EVERY, QUICK_S, Meter
from resile.testing import FakeClock

LIMITS = Limits(cpu_share=0.5)


class FakeGroup:
    """A group whose counters are set by hand."""

    def __init__(self):
        self.now = CgroupUsage(cpu_s=100.0, oom_kills=2, refused_processes=7, processes=2)

    def pids(self):
        return (os.getpid(),)

    def usage(self):
        if isinstance(self.now, OSError):
            raise self.now
        return self.now


def meter(group, clock, *, disk=(0, 0)):
    return Meter(group, limits=LIMITS, own_processes=2, measure_disk=lambda: disk, clock=clock)


def test_what_was_used_before_does_not_count():
    group, clock = FakeGroup(), FakeClock()
    made = meter(group, clock)
    group.now = CgroupUsage(cpu_s=101.5, oom_kills=3, refused_processes=9, processes=5)

    usage = made.measure(output_bytes=11).usage

    assert usage.cpu_s == 1.5
    assert usage.oom_kills == 1
    assert usage.refused_processes == 2
    assert usage.output_bytes == 11


def test_processes_of_the_launcher_do_not_count_and_the_most_is_kept():
    group, clock = FakeGroup(), FakeClock()
    made = meter(group, clock)

    group.now = CgroupUsage(processes=6)
    assert made.measure(0).usage.processes_max == 4
    group.now = CgroupUsage(processes=3)
    assert made.measure(0).usage.processes_max == 4


def test_without_a_group_time_and_disk_are_known():
    clock = FakeClock()
    made = meter(None, clock, disk=(4096, 2))
    clock.advance(3.0)

    usage = made.measure(0).usage

    assert (usage.time_s, usage.cpu_s, usage.disk_bytes, usage.disk_files) == (3.0, None, 4096, 2)


def test_file_that_is_removed_while_it_is_open_counts_until_it_is_closed(tmp_path):
    group, clock = FakeGroup(), FakeClock()
    made = Meter(
        group,
        limits=LIMITS,
        own_processes=2,
        measure_disk=lambda: (4096, 2),
        workspaces=(tmp_path,),
        clock=clock,
    )
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    (tmp_path / "file").unlink()

    open_files = [made.measure(0).usage.disk_files for _ in range(LOOKS_EVERY + 1)]
    os.close(fd)
    closed_files = made.measure(0).usage.disk_files

    assert open_files == [2, 2, 2, 3, 3]
    assert closed_files == 2


def test_counters_that_cannot_be_read_are_unknown():
    group, clock = FakeGroup(), FakeClock()
    made = meter(group, clock)
    group.now = OSError("gone")

    assert made.measure(0).usage.memory_max_bytes is None


def test_samples_are_quick_at_first_and_calm_later():
    clock = FakeClock()
    made = meter(FakeGroup(), clock)
    assert made.due_in_s() == QUICK_S

    clock.advance(QUICK_S)
    made.tick(0)
    assert made.due_in_s() == QUICK_S

    clock.advance(10)
    made.tick(0)
    assert made.due_in_s() == CALM_S


def test_time_and_output_are_up_to_date_between_samples():
    clock = FakeClock()
    made = meter(FakeGroup(), clock)
    clock.advance(QUICK_S / 2)

    assert made.tick(5).usage.time_s == QUICK_S / 2
    assert made.tick(6).usage.output_bytes == 6


def test_time_at_quota_grows_until_there_is_a_break():
    group, clock = FakeGroup(), FakeClock()
    made = meter(group, clock)
    used_s = 100.0

    def pass_second(cpu_s):
        nonlocal used_s
        used_s += cpu_s
        clock.advance(1.0)
        group.now = CgroupUsage(cpu_s=used_s)
        return made.measure(0)

    assert pass_second(0.5).at_quota_s > 0
    assert pass_second(0.49).at_quota_s > 1.5
    assert pass_second(0.1).at_quota_s == 0
