"""Run things under limits, and kill them whole."""

from resile.contain.cgroups import (
    Cgroup,
    CgroupKind,
    CgroupLayout,
    CgroupLimits,
    CgroupProbe,
    CgroupTree,
    CgroupUsage,
    empty,
    kill_everything,
    open_tree,
    probe,
    remember,
    remembered,
)

__all__ = [
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
]
