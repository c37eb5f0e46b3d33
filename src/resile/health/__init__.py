"""Health: how things are looked at, and what follows from what was seen.

`Scheduler` looks at every check in its rhythm and tells each change of state once. What a result
means is decided by pure functions (`decide.py`, `schedule.py`).
"""

from resile.health.checks import LookContext, RunCommand, look
from resile.health.decide import advance
from resile.health.model import CheckKind, CheckResult, CheckSpec, Streak
from resile.health.probes import ProcessSample, ProcessSampler
from resile.health.procfs import Memory, Pressure, read_memory, read_pressure
from resile.health.scheduler import Scheduler

__all__ = [
    "CheckKind",
    "CheckResult",
    "CheckSpec",
    "LookContext",
    "Memory",
    "Pressure",
    "ProcessSample",
    "ProcessSampler",
    "RunCommand",
    "Scheduler",
    "Streak",
    "advance",
    "look",
    "read_memory",
    "read_pressure",
]
