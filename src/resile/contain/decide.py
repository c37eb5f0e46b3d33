"""Decide about a run from what was measured: alerts, breaches, and why it ended. Pure.

Reasons come from counters and from what the supervisor itself did, not from exit codes alone: a
parent whose child was killed for want of memory may well exit with 0.
"""

from dataclasses import dataclass
from enum import StrEnum

from resile.contain.model import AtQuota, CommitMode, Limits, Usage, Violation
from resile.contain.sandboxes.model import LaunchFailed, MainEnded
from resile.core.process import signal_name
from resile.core.signals import signal_meaning
from resile.core.units import format_duration, format_size
from resile.core.vocabulary import RunReason, ViolationKind

TIME_ALERT_SHARE = 0.8
"""REQUIREMENTS A4: 8 s of 10 s."""
USE_ALERT_SHARE = 0.9
"""REQUIREMENTS A4: 45 % of 50 %, of processor and of memory."""
AT_QUOTA_SHARE = 0.85
"""A command that is throttled all the time uses so much of its share at least, on a busy machine
too: the kernel gives a share in periods of 100 ms, and others may take some of them."""

_SIGBUS, _SIGSEGV, _SIGXCPU, _SIGXFSZ, _SIGSYS = 7, 11, 24, 25, 31
_REASON_OF_SIGNAL = {
    _SIGBUS: RunReason.MEMORY_VIOLATION,
    _SIGSEGV: RunReason.MEMORY_VIOLATION,
    _SIGXCPU: RunReason.CPU_BUDGET,
    _SIGXFSZ: RunReason.DISK,
    _SIGSYS: RunReason.VIOLATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a run uses at one moment.

    Args:
        usage: Up to now.
        memory_bytes: Now; None if this machine cannot tell.
        cpu_share: Of one core, over the last second or so; None if it is not known yet.
        at_quota_s: How long it has been at its share without a break.
    """

    usage: Usage
    memory_bytes: int | None = None
    cpu_share: float | None = None
    at_quota_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Why a run must end now.

    Args:
        reason: Which limit.
        message: The limit, what was measured, and the flag that raises it.
        is_graceful: It may be asked to end first; what floods the disk is not asked.
    """

    reason: RunReason
    message: str
    is_graceful: bool = False

    @property
    def label(self) -> str:
        """What the log calls it (REQUIREMENTS A6)."""
        if self.reason is RunReason.TIMEOUT:
            return "EXECUTION_TIMEOUT"
        return "CRITICAL_RESOURCE_BREACH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A run is close to a limit.

    Args:
        limit: `time`, `cpu` or `memory`.
        measured: For people.
        allowed: For people.
    """

    limit: str
    measured: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of a run that has ended.

    Args:
        limits: What it was allowed.
        usage: The last counters.
        breach: Why the supervisor ended it; None if it did not.
        ended: How its main process ended; None if that was not told.
        failed: Why it could not be launched; None if it was.
        failure: The same in words.
    """

    limits: Limits
    usage: Usage
    breach: Breach | None = None
    ended: MainEnded | None = None
    failed: LaunchFailed | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a run ended, and how to say it."""

    reason: RunReason
    message: str = ""


def breach_of(limits: Limits, sample: Sample) -> Breach | None:
    """Tell which limit is broken, the gravest first; None if none is."""
    usage = sample.usage
    checks = (
        (usage.oom_kills > 0, _oom),
        (0 < limits.disk_bytes < usage.disk_bytes, _disk_bytes),
        (0 < limits.disk_files < usage.disk_files, _disk_files),
        (0 < limits.output_bytes < usage.output_bytes, _output),
        (0 < limits.cpu_time_s <= (usage.cpu_s or 0.0), _cpu_time),
        (_is_at_quota_too_long(limits, sample), _quota),
        (0 < limits.time_s <= usage.time_s, _timeout),
    )
    return next((tell(limits, usage) for is_broken, tell in checks if is_broken), None)


def alerts_of(limits: Limits, sample: Sample, *, told: frozenset[str]) -> tuple[Alert, ...]:
    """Tell which limits are close that were not told before."""
    usage = sample.usage
    found = []
    if 0 < limits.time_s * TIME_ALERT_SHARE <= usage.time_s:
        found.append(
            Alert(limit="time", measured=_s(usage.time_s), allowed=_s(limits.time_s)),
        )
    memory = int(limits.memory)
    if sample.memory_bytes is not None and 0 < memory * USE_ALERT_SHARE < sample.memory_bytes:
        measured, allowed = format_size(sample.memory_bytes), format_size(memory)
        found.append(Alert(limit="memory", measured=measured, allowed=allowed))
    if sample.cpu_share and 0 < limits.cpu_share * USE_ALERT_SHARE < sample.cpu_share:
        measured, allowed = _percent(sample.cpu_share), _percent(limits.cpu_share)
        found.append(Alert(limit="cpu", measured=measured, allowed=allowed))
    return tuple(alert for alert in found if alert.limit not in told)


def verdict_of(evidence: Evidence) -> Verdict:
    """Tell why a run ended.

    What the supervisor did itself comes first, then the counters, then how the main process ended.
    """
    if evidence.failed is not None:
        return Verdict(reason=RunReason.LAUNCH_FAILED, message=evidence.failure)
    if evidence.breach is not None and evidence.breach.reason is not RunReason.OK:
        return Verdict(reason=evidence.breach.reason, message=evidence.breach.message)
    late = _late_breach(evidence)
    if late is not None:
        return _said(late)
    if evidence.ended is None:
        return Verdict(
            reason=RunReason.SUPERVISOR_LOST,
            message="its launcher was killed by somebody else; nothing of it runs any more",
        )
    return _verdict_of_end(evidence, evidence.ended)


def _late_breach(evidence: Evidence) -> Breach | None:
    """Tell which limit it had reached when it ended, before that was seen; None: none."""
    usage, limits = evidence.usage, evidence.limits
    late = breach_of(limits, Sample(usage=usage))
    if late is not None and late.reason is not RunReason.TIMEOUT:
        return late
    if 0 < limits.disk_bytes <= usage.disk_bytes and not _is_good(evidence.ended):
        return _disk_bytes(limits, usage)  # Its writes failed at the limit of a file.
    return None


def _is_good(ended: MainEnded | None) -> bool:
    return ended is not None and ended.exit_code == 0


def _verdict_of_end(evidence: Evidence, ended: MainEnded) -> Verdict:
    usage, limits = evidence.usage, evidence.limits
    if ended.exit_code == 0:
        return Verdict(reason=RunReason.OK)
    if ended.signal_number:
        reason = _REASON_OF_SIGNAL.get(ended.signal_number, RunReason.SIGNAL)
        return Verdict(reason=reason, message=_signal_message(ended.signal_number, limits))
    if usage.refused_processes:
        return _said(_processes(limits, usage))
    return Verdict(reason=RunReason.EXIT, message=f"exit code {ended.exit_code}")


def _said(breach: Breach) -> Verdict:
    return Verdict(reason=breach.reason, message=breach.message)


def _is_at_quota_too_long(limits: Limits, sample: Sample) -> bool:
    return (
        limits.at_quota is AtQuota.KILL
        and limits.cpu_share > 0
        and sample.at_quota_s >= max(limits.quota_grace_s, 1e-9)
    )


def _timeout(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.TIMEOUT,
        message=f"ran {_s(usage.time_s)}, {_s(limits.time_s)} allowed; raise it with --time",
        is_graceful=True,
    )


def _oom(limits: Limits, usage: Usage) -> Breach:
    most = f"reached {format_size(usage.memory_max_bytes)}, " if usage.memory_max_bytes else ""
    allowed = f"{format_size(int(limits.memory))} allowed" if limits.memory else "the machine's all"
    return Breach(
        reason=RunReason.OOM,
        message=f"memory {most}{allowed}; raise it with --memory",
    )


def _cpu_time(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.CPU_BUDGET,
        message=f"used {_s(usage.cpu_s or 0)} of processor time, {_s(limits.cpu_time_s)} allowed; "
        "raise it with --cpu-time",
        is_graceful=True,
    )


def _quota(limits: Limits, _usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.CPU_BUDGET,
        message=f"wanted more than {_percent(limits.cpu_share)} of a core for "
        f"{_s(limits.quota_grace_s)}; raise it with --cpu, or use --at-quota throttle",
        is_graceful=True,
    )


def _processes(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.PROCESSES,
        message=f"was refused {usage.refused_processes} processes, {limits.processes} allowed at "
        "once; raise it with --processes",
    )


def _disk_bytes(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.DISK,
        message=f"wrote {format_size(usage.disk_bytes)}, {format_size(limits.disk_bytes)} allowed; "
        "raise it with --disk",
    )


def _disk_files(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.DISK,
        message=f"made {usage.disk_files} files, {limits.disk_files} allowed; "
        "raise it with --disk-files",
    )


def _output(limits: Limits, usage: Usage) -> Breach:
    return Breach(
        reason=RunReason.OUTPUT,
        message=f"printed {format_size(usage.output_bytes)}, {format_size(limits.output_bytes)} "
        "allowed; raise it with --output",
    )


def _signal_message(number: int, limits: Limits) -> str:
    name = signal_name(number)
    told = {
        _SIGXFSZ: f"a file above {format_size(limits.disk_bytes)}; raise it with --disk",
        _SIGXCPU: f"{signal_meaning(name)}; raise it with --cpu-time",
        _SIGSYS: "it made a system call of another architecture",
    }
    meaning = told.get(number, signal_meaning(name))
    return f"{name}: {meaning}" if meaning else f"ended by {name}"


def _s(seconds: float) -> str:
    return format_duration(seconds)


def _percent(share: float) -> str:
    return f"{share * 100:.0f}%"


ESCAPE_CALLS = frozenset(
    {
        "bpf",
        "chroot",
        "delete_module",
        "finit_module",
        "init_module",
        "kexec_file_load",
        "kexec_load",
        "mount",
        "move_mount",
        "open_by_handle_at",
        "pivot_root",
        "process_vm_writev",
        "ptrace",
        "setns",
        "umount2",
        "unshare",
    }
)
"""System calls that only make sense to get out of a sandbox, or into another process."""


def judge(violation: Violation, *, kills: frozenset[ViolationKind]) -> Breach | None:
    """Tell whether a violation ends the run; of system calls only those of `ESCAPE_CALLS` do."""
    if violation.kind not in kills:
        return None
    call = violation.detail.partition("(")[0].split()[0] if violation.detail else ""
    if violation.kind is ViolationKind.SYSCALL and call not in ESCAPE_CALLS:
        return None
    return Breach(
        reason=RunReason.VIOLATION,
        message=f"tried {violation.kind} {violation.detail}; everything of it was killed, and "
        "nothing that it changed is kept",
    )


class Fate(StrEnum):
    """What becomes of the changes of a run."""

    NOTHING = "nothing"
    """It ended well and changed nothing."""
    COMMIT = "commit"
    KEEP = "keep"
    """They wait for a person."""
    DISCARD = "discard"


def fate_of(mode: CommitMode, reason: RunReason, *, violations: int, changes: int) -> Fate:
    """Decide what becomes of the changes of a run that has ended.

    A run that failed leaves nothing. One that ended well and tried what it should not waits for
    a person, unless nobody is to be asked (`never`).
    """
    if reason is not RunReason.OK or mode is CommitMode.NEVER:
        return Fate.DISCARD
    if not changes:
        return Fate.NOTHING
    if mode is CommitMode.ASK or violations:
        return Fate.KEEP
    return Fate.COMMIT
