"""Health: how things are looked at, and what follows from what was seen.

`Scheduler` looks at every check in its rhythm and tells each change of state once. What a result
means is decided by pure functions (`decide.py`, `schedule.py`). `endpoints` lets any service tell
its own health over HTTP. Modules are loaded when a name of theirs is first used: such a service
needs few of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.health.checks import LookContext, RunCommand, look
    from resile.health.decide import advance, taken_over
    from resile.health.disks import DiskSpace, read_disk
    from resile.health.model import CheckKind, CheckResult, CheckSpec, Streak
    from resile.health.probes import ProcessSample, ProcessSampler
    from resile.health.procfs import (
        Memory,
        Pressure,
        ProcessStat,
        read_descriptors_max,
        read_memory,
        read_pressure,
        read_stat,
    )
    from resile.health.scheduler import Scheduler

__all__ = [
    "CheckKind",
    "CheckResult",
    "CheckSpec",
    "DiskSpace",
    "LookContext",
    "Memory",
    "Pressure",
    "ProcessSample",
    "ProcessSampler",
    "ProcessStat",
    "RunCommand",
    "Scheduler",
    "Streak",
    "advance",
    "look",
    "read_descriptors_max",
    "read_disk",
    "read_memory",
    "read_pressure",
    "read_stat",
    "taken_over",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "checks.dispatch": ("look",),
        "checks.port": ("LookContext", "RunCommand"),
        "decide": ("advance", "taken_over"),
        "disks": ("DiskSpace", "read_disk"),
        "model": ("CheckKind", "CheckResult", "CheckSpec", "Streak"),
        "probes": ("ProcessSample", "ProcessSampler"),
        "procfs": (
            "Memory",
            "Pressure",
            "ProcessStat",
            "read_descriptors_max",
            "read_memory",
            "read_pressure",
            "read_stat",
        ),
        "scheduler": ("Scheduler",),
    }
    return load(__name__, name, homes)
