"""What a contained run may use, what it did, and how it ended. Frozen values; nothing happens here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.errors import ConfigError

MIB, GIB = 1 << 20, 1 << 30


class Network(StrEnum):
    """What a command may reach."""

    NONE = "none"
    """A network of its own with nothing in it but a loopback."""
    HOST = "host"


class AtQuota(StrEnum):
    """What happens to a command that wants more processor than its share."""

    THROTTLE = "throttle"
    """The kernel slows it down to its share."""
    KILL = "kill"
    """It is slowed down, and killed after `quota_grace_s` at its share."""


class CommitMode(StrEnum):
    """When the changes of a run go into the workspace."""

    AUTO = "auto"
    """On exit code 0 without a violation, at once; else they are discarded."""
    ASK = "ask"
    """They are kept until `resile commit` or `resile discard`."""
    NEVER = "never"
    """They are discarded, whatever came of it; the diff is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run and all of its processes together may use. 0 means no limit.

    The defaults are those of the profile `strict`.

    Args:
        time_s: Wall time. Default 10 s.
        cpu_share: Share of one core: 0.5 is half a core. Default 0.5.
        cpu_time_s: Processor time of all processes together. Default: no limit.
        memory: Bytes as int, or a share (0..1) of what is available at the start as float.
            Default 0.5. Swap is off.
        processes: Processes and threads at once. Default 5.
        files: Open files of each process. Default 256.
        output_bytes: Of standard output and error together. Default 10 MiB.
        disk_bytes: Written to workspaces and /tmp, each. Default 256 MiB.
        disk_files: Files and folders made in them, each. Default 10,000.
        network: `none` or `host`, as text too. Default none.
        at_quota: `throttle` or `kill`: what happens at `cpu_share`. Default throttle.
        quota_grace_s: With `kill`: how long it may stay at its share. Default 5 s.
        grace_s: Between the request to end and the kill. Default 0.2 s: what is ended here had
            its chance.

    Raises:
        ConfigError: If a limit is impossible; all faults at once.
    """

    time_s: float = 10.0
    cpu_share: float = 0.5
    cpu_time_s: float = 0.0
    memory: int | float = 0.5
    processes: int = 5
    files: int = 256
    output_bytes: int = 10 * MIB
    disk_bytes: int = 256 * MIB
    disk_files: int = 10_000
    network: Network = Network.NONE
    at_quota: AtQuota = AtQuota.THROTTLE
    quota_grace_s: float = 5.0
    grace_s: float = 0.2

    def __post_init__(self) -> None:
        problems = (*_read_choices(self), *_faults(self))
        if problems:
            raise ConfigError(
                f"the limits have {len(problems)} faults" if len(problems) > 1 else problems[0],
                hint="0 means no limit",
                problems=problems if len(problems) > 1 else (),
            )


def build_limits(cores: int) -> Limits:
    """Give the profile `build`: what a compiler or a test suite needs."""
    return Limits(
        time_s=3600.0,
        cpu_share=float(cores),
        memory=0.75,
        processes=4096,
        files=65_536,
        output_bytes=1 * GIB,
        disk_bytes=20 * GIB,
        disk_files=1_000_000,
        network=Network.HOST,
        grace_s=5.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run used. None: this machine cannot tell.

    Args:
        time_s: Wall time.
        cpu_s: Processor time of all its processes.
        memory_max_bytes: The most at once.
        processes_max: The most at once, as far as it was looked at.
        output_bytes: Written to standard output and error.
        disk_bytes: Written to its workspaces, as it stood in the end.
        disk_files: Files and folders made in them.
        oom_kills: Processes that the kernel killed at the memory limit.
        refused_processes: Forks that the kernel refused at the limit.
    """

    time_s: float = 0.0
    cpu_s: float | None = None
    memory_max_bytes: int | None = None
    processes_max: int | None = None
    output_bytes: int = 0
    disk_bytes: int = 0
    disk_files: int = 0
    oom_kills: int = 0
    refused_processes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that a command tried against its policy.

    Args:
        kind: What sort.
        detail: The system call, the path, the address: one line.
        pid: Of the process, on the host; 0 if it is not known.
        command: Its short name; empty if it is not known.
        decision: What was done: `denied`, `recorded`, `killed`.
        source: Who saw it: `seccomp`, `scan`, `cgroup`.
        at: When.
    """

    kind: ViolationKind
    detail: str
    pid: int = 0
    command: str = ""
    decision: str = "denied"
    source: str
    at: datetime


CAPABILITY_NOTE: Final = "capabilities"
"""Notes a changed file that gives whoever runs it capabilities (`setcap`)."""


class ChangeKind(StrEnum):
    """What a run did to a path."""

    CREATED = "created"
    MODIFIED = "modified"
    METADATA = "metadata"
    """The content is the same; mode, owner, times or attributes are others."""
    DELETED = "deleted"
    REPLACED = "replaced"
    """Another kind of file stands there now, or a folder that is a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a workspace, as `resile diff` shows it.

    Args:
        path: Relative to the workspace; undecodable bytes as surrogate escapes.
        kind: What happened.
        file_type: `file`, `folder`, `link`, `fifo` of what is there afterwards (of what was
            there, if it is deleted).
        size_before, size_after: Bytes of a file; None where there is none.
        mode_before, mode_after: Permission bits; None where there is nothing.
        link_target: Where a symbolic link points afterwards; empty if it is none.
        notes: What is worth knowing, such as `hardlink_broken` or `capabilities`.
    """

    path: str
    kind: ChangeKind
    file_type: str
    size_before: int | None = None
    size_after: int | None = None
    mode_before: int | None = None
    mode_after: int | None = None
    link_target: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceDiff:
    """What a run changed in one workspace.

    Args:
        workspace: The folder.
        changes: In the order of the paths.
    """

    workspace: Path
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a contained run.

    Args:
        run_id: Names it for `resile diff`, `commit` and `discard`.
        reason: Why it ended.
        message: One sentence: the limit, what was measured, and the flag that raises it.
        exit_code: The command's own; None if a signal ended it. Of one that could not be launched
            what a shell would give: 127 (no such command), 126, or 125 (no sandbox for it).
        signal: The name of the signal that ended it; empty if none did.
        stdout, stderr: The first `output_bytes` of each; never more.
        usage: What it used.
        violations: In the order in which they were seen.
        diffs: What it changed, for each workspace.
        state: Whether that is in the workspace now.
        backend: Which sandbox ran it.
        warnings: What could not be guaranteed on this machine.
    """

    run_id: str
    reason: RunReason
    message: str = ""
    exit_code: int | None = None
    signal: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    usage: Usage = field(default_factory=Usage)
    violations: tuple[Violation, ...] = ()
    diffs: tuple[WorkspaceDiff, ...] = ()
    state: RunState = RunState.DISCARDED
    backend: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Tell whether it ended well, and its changes are where they should be."""
        return self.reason is RunReason.OK

    @property
    def code(self) -> str:
        """The source's code: `TIMEOUT`, `CRITICAL_STOP` for every other forced end, else `OK`."""
        return CODES.get(self.reason, "OK")


CODES: Mapping[RunReason, str] = {
    RunReason.TIMEOUT: "TIMEOUT",
    **dict.fromkeys(
        (
            RunReason.OOM,
            RunReason.CPU_BUDGET,
            RunReason.PROCESSES,
            RunReason.DISK,
            RunReason.OUTPUT,
            RunReason.VIOLATION,
            RunReason.MEMORY_VIOLATION,
            RunReason.KILLED,
            RunReason.SUPERVISOR_LOST,
        ),
        "CRITICAL_STOP",
    ),
}
"""REQUIREMENTS A6."""


def _read_choices(limits: Limits) -> list[str]:
    """Turn choices that are given as text into what they name; list those that name nothing."""
    faults = []
    for name, kind in (("network", Network), ("at_quota", AtQuota)):
        value = getattr(limits, name)
        try:
            object.__setattr__(limits, name, kind(value))
        except ValueError:
            known = " or ".join(kind)
            faults.append(f"{name} must be {known}, not {value!r}")
    return faults


def _faults(limits: Limits) -> list[str]:
    """List what is impossible about limits."""
    faults = []
    for name in ("time_s", "cpu_share", "cpu_time_s", "quota_grace_s", "grace_s"):
        value = getattr(limits, name)
        if not 0 <= value < float("inf"):
            faults.append(f"{name} must be 0 or more, not {value}")
    counts = ("processes", "files", "output_bytes", "disk_bytes", "disk_files")
    negative = [name for name in counts if getattr(limits, name) < 0]
    faults += [f"{name} must be 0 or more, not {getattr(limits, name)}" for name in negative]
    if 0 < limits.cpu_share < 0.01:
        faults.append(f"cpu must be 1% or more, not {limits.cpu_share * 100:g}%")
    if limits.processes > _PROCESSES_MAX:
        faults.append(f"processes must be {_PROCESSES_MAX} or less, not {limits.processes}")
    if 0 < limits.files < _FILES_MIN:
        faults.append(f"files must be {_FILES_MIN} or more, not {limits.files}")
    if isinstance(limits.memory, float):
        if not 0 <= limits.memory <= 1:
            faults.append(f"memory as a share must be 0% to 100%, not {limits.memory * 100:g}%")
    elif limits.memory < 0 or 0 < limits.memory < MIB:
        faults.append(f"memory must be 1MiB or more, not {limits.memory} bytes")
    faults += [
        f"{name} is above what a kernel can count"
        for name in ("memory", "files", "output_bytes", "disk_bytes", "disk_files")
        if getattr(limits, name) >= _COUNT_MAX
    ]
    return faults


_COUNT_MAX = 1 << 62
_PROCESSES_MAX = 4_194_304
"""The kernel's own limit."""
_FILES_MIN = 8
"""Less does not even let a dynamic linker work."""

STRICT = Limits()
"""The defaults of REQUIREMENTS A2, and no network."""
