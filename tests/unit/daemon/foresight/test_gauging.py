"""What a process uses is measured against its limits."""

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from resile.core.vocabulary import Resource
from resile.daemon.foresight import ForesightPlan, gauging
from resile.daemon.foresight.disks import DiskGauge
from resile.daemon.foresight.gauging import LIMITS_EVERY, Gauges, pools
from resile.health import CheckKind, CheckSpec, DiskSpace, ProcessSample
from resile.health.prediction import Reading

MIB = 1 << 20


def sample(**facts: Any) -> ProcessSample:
    values = {
        "pid": os.getpid(),
        "state": "S",
        "cpu_s": 1.0,
        "cpu_share": 0.1,
        "rss_bytes": 50 * MIB,
        "threads_count": 1,
        "fds_count": 12,
        **facts,
    }
    return ProcessSample(**values)  # type: ignore[arg-type]


def measured(gauges: Gauges, **samples: ProcessSample) -> dict[tuple[str, str, str], Reading]:
    return {
        (one.source.resource.value, one.source.target, one.source.detail): one
        for one in gauges.processes(samples)
    }


def test_descriptors_are_measured_against_the_limit_of_the_process(tmp_path: Path) -> None:
    gauges = Gauges(ForesightPlan(checks=(), state=tmp_path))

    found = measured(gauges, api=sample())

    reading = found["descriptors", "service/api", ""]
    assert reading.used == 12
    assert reading.limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert str(os.getpid()) in reading.epoch


def test_descriptors_that_nobody_may_count_are_not_measured(tmp_path: Path) -> None:
    gauges = Gauges(ForesightPlan(checks=(), state=tmp_path))

    assert ("descriptors", "service/api", "") not in measured(gauges, api=sample(fds_count=None))


def test_limit_of_descriptors_is_read_anew_each_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = iter([100, 200])
    monkeypatch.setattr(gauging, "read_descriptors_max", lambda pid: next(limits))
    gauges = Gauges(ForesightPlan(checks=(), state=tmp_path))

    seen = [
        measured(gauges, api=sample())["descriptors", "service/api", ""].limit
        for _ in range(LIMITS_EVERY + 1)
    ]

    assert seen == [100] * LIMITS_EVERY + [200]


def test_machine_is_measured(tmp_path: Path) -> None:
    found = measured(Gauges(ForesightPlan(checks=(), state=tmp_path)))

    assert 0 < found["memory", "system", ""].share < 1


def test_memory_is_measured_against_what_its_check_allows(tmp_path: Path) -> None:
    check = CheckSpec(
        id="api.live",
        kind=CheckKind.PROCESS,
        service="api",
        options={"rss_max_bytes": 100.0 * MIB},
    )

    found = measured(Gauges(ForesightPlan(checks=(check,), state=tmp_path)), api=sample())

    assert found["memory", "service/api", "rss_max"].share == 0.5


def test_memory_limit_without_control_groups_is_none(tmp_path: Path) -> None:
    plan = ForesightPlan(checks=(), state=tmp_path, memory_limits={"api": 100 * MIB})
    gauges = Gauges(plan)
    gauges.began("api", "api-1")

    assert ("memory", "service/api", "") not in measured(gauges, api=sample())


def guard(name: str, service: str, in_flight: int, limit: int) -> dict[str, Any]:
    return {"guard": name, "service": service, "in_flight": in_flight, "limit": limit}


def test_fullest_process_tells_how_full_a_pool_is() -> None:
    rows = [
        guard("db", "api", 2, 10),
        guard("db", "api", 9, 10),
        guard("db", "worker", 1, 10),
        guard("none", "api", 0, 0),
        guard("db", "", 5, 10),
    ]

    found = {(one.source.target, one.source.detail): one for one in pools(rows)}

    assert set(found) == {("service/api", "db"), ("service/worker", "db")}
    assert found["service/api", "db"].share == 0.9


def disks_of(*checks: CheckSpec, state: Path) -> list[Reading]:
    return list(DiskGauge(ForesightPlan(checks=checks, state=state)).measure())


def test_state_folder_is_measured_once(tmp_path: Path) -> None:
    check = CheckSpec(id="disk", kind=CheckKind.DISK, target=str(tmp_path))

    alone = disks_of(state=tmp_path)
    checked = disks_of(check, state=tmp_path)

    assert {one.source.target for one in alone} == {f"folder/{tmp_path}"}
    assert {one.source.target for one in checked} == {"check/disk"}
    assert alone[0].source.resource is Resource.DISK


@pytest.mark.parametrize(
    "options", [{"free_min_bytes": 300.0}, {"free_min_share": 0.3}], ids=["bytes", "share"]
)
def test_what_a_check_wants_free_is_not_there_to_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, float]
) -> None:
    space = DiskSpace(free_bytes=650, usable_bytes=1000, free_inodes=10, usable_inodes=40)
    monkeypatch.setattr("resile.daemon.foresight.disks.read_disk", lambda path: space)
    check = CheckSpec(id="disk", kind=CheckKind.DISK, target=str(tmp_path), options=options)

    disk, inodes = disks_of(check, state=tmp_path)

    assert (disk.used, disk.limit, disk.share) == (350, 700, 0.5)
    assert (inodes.source.resource, inodes.share) == (Resource.INODES, 0.75)


def test_disk_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    check = CheckSpec(id="gone", kind=CheckKind.DISK, target=str(tmp_path / "gone"))

    assert {one.source.target for one in disks_of(check, state=tmp_path)} == {f"folder/{tmp_path}"}


def test_what_was_measured_is_taken_once(tmp_path: Path) -> None:
    gauge = DiskGauge(ForesightPlan(checks=(), state=tmp_path))
    assert gauge.take() == ()

    gauge.start()
    for _ in range(1000):
        if taken := gauge.take():
            break
        gauge._ended.wait(0.01)
    gauge.close()

    assert taken
    assert gauge.take() == ()
