"""Control groups: one for each service and each contained command, as the kill switch."""

from resile.contain.cgroups.marked import MARK
from resile.contain.cgroups.model import (
    CgroupKind,
    CgroupLayout,
    CgroupLimits,
    CgroupUsage,
)
from resile.contain.cgroups.port import Cgroup, CgroupTree
from resile.contain.cgroups.probe import CgroupProbe, open_tree, probe, unit_of
from resile.contain.cgroups.sweep import empty, kill_everything, remember, remembered

__all__ = [
    "MARK",
    "Cgroup",
    "CgroupKind",
    "CgroupLayout",
    "CgroupLimits",
    "CgroupProbe",
    "CgroupTree",
    "CgroupUsage",
    "empty",
    "kill_everything",
    "open_tree",
    "probe",
    "remember",
    "remembered",
    "unit_of",
]
