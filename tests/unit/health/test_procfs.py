"""Reading what the kernel tells."""

import os
import resource
from pathlib import Path

from resile.health import Pressure, read_descriptors_max, read_disk, read_memory, read_pressure
from resile.health.procfs import PAGE_BYTES, ProcessStat, parse_stat, process_age_s, read_stat

LINE = (
    b"4711 (a) b (c)) S 17 4711 4711 0 -1 4194560 1500 0 3 0 123 45 6 7 20 0 9 0 987654 "
    b"23000000 2048 18446744073709551615 1 1 0 0 0 0 0 16781312 134217730 0 0 0 17 1 0 0\n"
)


def test_stat_is_read_from_behind_the_name() -> None:
    assert parse_stat(LINE) == ProcessStat(
        state="S",
        parent_pid=17,
        cpu_ticks=168,
        threads_count=9,
        start_ticks=987654,
        rss_bytes=2048 * PAGE_BYTES,
    )


def test_own_process_is_read() -> None:
    stat = read_stat(os.getpid())

    assert stat is not None
    assert (stat.state, stat.parent_pid) == ("R", os.getppid())
    assert stat.rss_bytes > 1 << 20
    assert 0 <= process_age_s(stat.start_ticks) < 86_400


def test_process_that_is_not_there_is_none() -> None:
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())

    assert read_stat(pid_max + 1) is None


def test_memory_is_read() -> None:
    memory = read_memory()

    assert 0 < memory.available_bytes <= memory.total_bytes


def test_pressure_is_read_as_shares(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text(
        "some avg10=12.50 avg60=3.00 avg300=0.75 total=123\n"
        "full avg10=2.50 avg60=0.50 avg300=0.25 total=45\n"
    )

    assert read_pressure(path) == Pressure(some=(0.125, 0.03, 0.0075), full=(0.025, 0.005, 0.0025))


def test_pressure_without_full_line_has_zeros(tmp_path: Path) -> None:
    path = tmp_path / "cpu"
    path.write_text("some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n")

    assert read_pressure(path) == Pressure(some=(0.5, 0.0, 0.0), full=(0.0, 0.0, 0.0))


def test_kernel_without_pressure_gives_none(tmp_path: Path) -> None:
    assert read_pressure(tmp_path / "memory") is None


def test_limit_of_descriptors_is_the_one_that_holds_now() -> None:
    assert read_descriptors_max(os.getpid()) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_limit_of_a_process_that_is_not_there_is_none() -> None:
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())

    assert read_descriptors_max(pid_max + 1) is None


def test_files_that_fit_are_told_where_they_are_counted() -> None:
    space = read_disk("/")

    assert 0 <= space.free_inodes <= max(space.usable_inodes, space.free_inodes)
    assert not space.is_out_of_inodes
