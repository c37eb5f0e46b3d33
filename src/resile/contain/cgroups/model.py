"""What a control group may use and has used, and where this machine keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupLimits:
    """What a cgroup may use; 0 means no limit.

    Args:
        memory_bytes: Resident and cached memory; above it the kernel kills.
        memory_slow_bytes: Above it the kernel slows the members down and takes back what it can,
            so that whoever watches has time to act. Only v2 can.
        cpu_share: 1.0 is one core.
        processes: Processes and threads at once.
        is_one_fate: If the kernel kills one member for want of memory, it kills all of them;
            where it cannot (v1), whoever watches the group has to.
    """

    memory_bytes: int = 0
    memory_slow_bytes: int = 0
    cpu_share: float = 0.0
    processes: int = 0
    is_one_fate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupUsage:
    """What a cgroup uses and has used. None: this machine cannot tell.

    Args:
        memory_bytes: Now, caches included.
        memory_idle_bytes: Of these, pages of files that nobody used lately: the kernel takes them
            back before it kills.
        memory_max_bytes: The most so far.
        cpu_s: Processor time of all its processes, the ended ones included.
        memory_limit_hits: How often it needed more memory than its own limit allows: the kernel
            had to take some back (v1; newer kernels do not count that), or could not (v2).
        oom_kills: Processes that the kernel killed for want of memory, here or on the machine.
        processes: Processes and threads now.
        refused_processes: Processes and threads that the kernel refused at the limit.
    """

    memory_bytes: int | None = None
    memory_idle_bytes: int | None = None
    memory_max_bytes: int | None = None
    cpu_s: float | None = None
    memory_limit_hits: int | None = None
    oom_kills: int | None = None
    processes: int | None = None
    refused_processes: int | None = None


class CgroupKind(StrEnum):
    """How control groups are kept, from the best to the worst."""

    V2 = "v2"
    """One hierarchy with everything: limits, counters and the kill switch."""
    HYBRID = "hybrid"
    """Limits in v1 hierarchies, the kill switch in a v2 one beside them."""
    V1 = "v1"
    """No kill switch: freeze, signal each process, thaw, until none is left."""
    NONE = "none"
    """No groups: processes are found by an environment variable and their ancestry. They can
    escape, and nothing limits them."""


class Controller(StrEnum):
    """What can be limited, or is needed to kill."""

    MEMORY = "memory"
    CPU = "cpu"
    PIDS = "pids"
    CPUACCT = "cpuacct"
    FREEZER = "freezer"


LIMITING = frozenset({Controller.MEMORY, Controller.CPU, Controller.PIDS})


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupLayout:
    """Where the groups of one daemon are: enough for any process to find them again.

    Args:
        kind: Which adapter reads it.
        unit: 12 hexadecimal digits that tell this daemon's groups from another's.
        unified: The folder of its groups in the v2 hierarchy; empty if there is none.
        controllers: The folder of its groups in each v1 hierarchy, by controller.
        enforced: What can be limited in it.
    """

    kind: CgroupKind
    unit: str
    unified: str = ""
    controllers: Mapping[str, str]
    enforced: tuple[str, ...] = ()
