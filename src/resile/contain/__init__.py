"""Run things under limits, and kill them whole; keep or undo what they changed.

Control groups are loaded at once, as the guard needs them and must stay small; what belongs to
runs is loaded when it is first used.
"""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from resile.contain._all import (
        RUNS_VARIABLE,
        STATE_VARIABLE,
        STRICT,
        AtQuota,
        Change,
        ChangeKind,
        CommitMode,
        Host,
        Limits,
        Network,
        Outcome,
        Recovered,
        Run,
        RunOptions,
        RunRecord,
        Runs,
        RunSpec,
        SandboxFacts,
        StopRequest,
        Transaction,
        Usage,
        Violation,
        WorkspaceDiff,
        arun,
        build_limits,
        commit_run,
        default_host,
        diff_of,
        diff_text,
        discard_run,
        kill_run,
        recover_runs,
        run,
        runs_folder,
        sandbox_facts,
    )

__all__ = [
    "RUNS_VARIABLE",
    "STATE_VARIABLE",
    "STRICT",
    "AtQuota",
    "Cgroup",
    "CgroupKind",
    "CgroupLayout",
    "CgroupLimits",
    "CgroupProbe",
    "CgroupTree",
    "CgroupUsage",
    "Change",
    "ChangeKind",
    "CommitMode",
    "Host",
    "Limits",
    "Network",
    "Outcome",
    "Recovered",
    "Run",
    "RunOptions",
    "RunRecord",
    "RunSpec",
    "Runs",
    "SandboxFacts",
    "StopRequest",
    "Transaction",
    "Usage",
    "Violation",
    "WorkspaceDiff",
    "arun",
    "build_limits",
    "commit_run",
    "default_host",
    "diff_of",
    "diff_text",
    "discard_run",
    "empty",
    "kill_everything",
    "kill_run",
    "open_tree",
    "probe",
    "recover_runs",
    "remember",
    "remembered",
    "run",
    "runs_folder",
    "sandbox_facts",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from resile.contain import _all

    return getattr(_all, name)
