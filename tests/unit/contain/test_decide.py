"""Why a run ends: from counters and from what was done, not from exit codes alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from resile.contain import AtQuota, CommitMode, Limits, Usage, Violation
from resile.contain.decide import (
    Breach,
    Evidence,
    Fate,
    Sample,
    alerts_of,
    breach_of,
    fate_of,
    judge,
    verdict_of,
)
from resile.contain.sandboxes import LaunchFailed, MainEnded
from resile.core.vocabulary import RunReason, ViolationKind
from resile.errors import ConfigError

MIB = 1 << 20
LIMITS = Limits(
    time_s=10,
    cpu_share=0.5,
    cpu_time_s=4,
    memory=64 * MIB,
    processes=5,
    output_bytes=1000,
    disk_bytes=MIB,
    disk_files=10,
)
FINE = Usage(time_s=1.0, cpu_s=0.1, memory_max_bytes=MIB, processes_max=1)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def sample(**changes):
    return Sample(usage=replace(FINE, **changes))


def verdict(**evidence):
    return verdict_of(Evidence(limits=LIMITS, **{"usage": FINE, **evidence}))


@pytest.mark.parametrize(
    ("used", "reason", "flag", "is_graceful"),
    [
        ({"time_s": 10.0}, RunReason.TIMEOUT, "--time", True),
        ({"cpu_s": 4.0}, RunReason.CPU_BUDGET, "--cpu-time", True),
        ({"oom_kills": 1}, RunReason.OOM, "--memory", False),
        ({"output_bytes": 1001}, RunReason.OUTPUT, "--output", False),
        ({"disk_bytes": MIB + 1}, RunReason.DISK, "--disk", False),
        ({"disk_files": 11}, RunReason.DISK, "--disk-files", False),
    ],
)
def test_broken_limit_is_named_with_the_flag_that_raises_it(used, reason, flag, is_graceful):
    breach = breach_of(LIMITS, sample(**used))

    assert breach is not None
    assert breach.reason is reason
    assert flag in breach.message
    assert "allowed" in breach.message
    assert breach.is_graceful is is_graceful


@pytest.mark.parametrize(
    "used",
    [
        {"time_s": 9.99},
        {"cpu_s": 3.99},
        {"output_bytes": 1000},
        {"disk_bytes": MIB},
        {"disk_files": 10},
        {"refused_processes": 50},
    ],
)
def test_limit_that_is_reached_and_not_broken_ends_nothing(used):
    assert breach_of(LIMITS, sample(**used)) is None


def test_no_limit_is_never_broken():
    free = Limits(
        time_s=0,
        cpu_share=0,
        memory=0,
        processes=0,
        files=0,
        output_bytes=0,
        disk_bytes=0,
        disk_files=0,
    )
    huge = 1 << 60

    assert (
        breach_of(free, sample(time_s=1e9, cpu_s=1e9, output_bytes=huge, disk_bytes=huge)) is None
    )
    assert alerts_of(free, sample(time_s=1e9), told=frozenset()) == ()


def test_throttled_command_is_killed_only_where_that_is_wanted():
    at_quota = replace(sample(), at_quota_s=5.0)

    assert breach_of(LIMITS, at_quota) is None
    breach = breach_of(replace(LIMITS, at_quota=AtQuota.KILL), at_quota)
    assert breach is not None
    assert breach.reason is RunReason.CPU_BUDGET


def test_labels_are_those_of_the_requirements():
    timeout = Breach(reason=RunReason.TIMEOUT, message="")
    oom = Breach(reason=RunReason.OOM, message="")

    assert timeout.label == "EXECUTION_TIMEOUT"
    assert oom.label == "CRITICAL_RESOURCE_BREACH"


def test_alerts_come_at_the_levels_of_the_requirements_and_once():
    near = Sample(usage=replace(FINE, time_s=8.0), memory_bytes=58 * MIB, cpu_share=0.46)

    alerts = alerts_of(LIMITS, near, told=frozenset())

    assert [alert.limit for alert in alerts] == ["time", "memory", "cpu"]
    assert alerts_of(LIMITS, near, told=frozenset({"time", "memory", "cpu"})) == ()
    calm = Sample(usage=replace(FINE, time_s=7.9), memory_bytes=57 * MIB, cpu_share=0.44)
    assert alerts_of(LIMITS, calm, told=frozenset()) == ()


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"ended": MainEnded(exit_code=0)}, RunReason.OK),
        ({"ended": MainEnded(exit_code=3)}, RunReason.EXIT),
        ({"ended": MainEnded(exit_code=None, signal_number=15)}, RunReason.SIGNAL),
        ({"ended": MainEnded(exit_code=None, signal_number=11)}, RunReason.MEMORY_VIOLATION),
        ({"ended": MainEnded(exit_code=None, signal_number=7)}, RunReason.MEMORY_VIOLATION),
        ({"ended": MainEnded(exit_code=None, signal_number=25)}, RunReason.DISK),
        ({"ended": MainEnded(exit_code=None, signal_number=24)}, RunReason.CPU_BUDGET),
        ({"ended": MainEnded(exit_code=None, signal_number=31)}, RunReason.VIOLATION),
        ({"ended": None}, RunReason.SUPERVISOR_LOST),
        ({"failed": LaunchFailed(stage="exec", number=2)}, RunReason.LAUNCH_FAILED),
        (
            {"ended": MainEnded(exit_code=0), "usage": replace(FINE, oom_kills=1)},
            RunReason.OOM,
        ),
        (
            {"ended": MainEnded(exit_code=1), "usage": replace(FINE, refused_processes=3)},
            RunReason.PROCESSES,
        ),
        (
            {"ended": MainEnded(exit_code=0), "usage": replace(FINE, refused_processes=3)},
            RunReason.OK,
        ),
        (
            {"ended": MainEnded(exit_code=0), "usage": replace(FINE, output_bytes=5000)},
            RunReason.OUTPUT,
        ),
        (
            {"ended": MainEnded(exit_code=0), "usage": replace(FINE, disk_bytes=2 * MIB)},
            RunReason.DISK,
        ),
        (
            {"ended": MainEnded(exit_code=1), "usage": replace(FINE, disk_bytes=MIB)},
            RunReason.DISK,
        ),
        (
            {
                "ended": MainEnded(exit_code=0),
                "breach": Breach(reason=RunReason.KILLED, message="killed by root"),
            },
            RunReason.KILLED,
        ),
    ],
)
def test_reason_is_told_from_counters_before_exit_codes(evidence, reason):
    assert verdict(**evidence).reason is reason


def test_command_that_ends_late_by_itself_is_no_timeout():
    assert verdict(ended=MainEnded(exit_code=0), usage=replace(FINE, time_s=10.2)).reason == "ok"


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (LaunchFailed(stage="exec", number=2), 127),
        (LaunchFailed(stage="exec", number=13), 126),
        (LaunchFailed(stage="cwd", number=2), 125),
        (LaunchFailed(stage="overlay", number=22), 125),
    ],
)
def test_failed_launch_has_the_exit_code_of_a_shell(failed, code):
    assert failed.exit_code == code
    assert verdict(failed=failed, failure="why").message == "why"


@pytest.mark.parametrize(
    ("mode", "reason", "violations", "changes", "fate"),
    [
        (CommitMode.AUTO, RunReason.OK, 0, 3, Fate.COMMIT),
        (CommitMode.AUTO, RunReason.OK, 1, 3, Fate.KEEP),
        (CommitMode.AUTO, RunReason.EXIT, 0, 3, Fate.DISCARD),
        (CommitMode.AUTO, RunReason.OK, 0, 0, Fate.NOTHING),
        (CommitMode.ASK, RunReason.OK, 0, 3, Fate.KEEP),
        (CommitMode.ASK, RunReason.OOM, 0, 3, Fate.DISCARD),
        (CommitMode.NEVER, RunReason.OK, 0, 3, Fate.DISCARD),
    ],
)
def test_changes_are_kept_only_of_what_ended_well(mode, reason, violations, changes, fate):
    assert fate_of(mode, reason, violations=violations, changes=changes) is fate


def seen(kind, detail):
    return Violation(kind=kind, detail=detail, source="seccomp", at=NOON)


def test_attempt_to_escape_ends_the_run():
    breach = judge(
        seen(ViolationKind.SYSCALL, "mount(none)"), kills=frozenset({ViolationKind.SYSCALL})
    )

    assert breach is not None
    assert breach.reason is RunReason.VIOLATION


@pytest.mark.parametrize(
    "violation",
    [
        seen(ViolationKind.SYSCALL, "keyctl"),
        seen(ViolationKind.SYSCALL, ""),
        seen(ViolationKind.CONNECT, "mount"),
    ],
)
def test_what_serves_no_escape_is_only_recorded(violation):
    assert judge(violation, kills=frozenset({ViolationKind.SYSCALL})) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_s": -1},
        {"cpu_share": 0.001},
        {"memory": 1.5},
        {"memory": 1000},
        {"processes": -1},
        {"files": 3},
        {"grace_s": float("inf")},
        {"network": "all"},
        {"at_quota": "stop"},
    ],
)
def test_impossible_limit_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"must be"):
        Limits(**wrong)


def test_all_impossible_limits_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Limits(time_s=-1, processes=-1)

    assert len(caught.value.problems) == 2
