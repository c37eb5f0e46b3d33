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
    from resile.contain.api import RunOptions, arun, run
    from resile.contain.host import Host, default_host
    from resile.contain.kill import kill_run
    from resile.contain.model import (
        STRICT,
        AtQuota,
        Change,
        ChangeKind,
        CommitMode,
        Limits,
        Network,
        Outcome,
        Usage,
        Violation,
        WorkspaceDiff,
        build_limits,
    )
    from resile.contain.places import RUNS_VARIABLE, runs_folder
    from resile.contain.recover import Recovered, recover_runs
    from resile.contain.runner import Run
    from resile.contain.runs import RunRecord, Runs, matching
    from resile.contain.sandboxes import SandboxFacts, sandbox_facts
    from resile.contain.settle import commit_run, diff_of, discard_run
    from resile.contain.spec import CONTAINED_VARIABLE, RunSpec
    from resile.contain.switches import Hold, Switches, held, hold_runs, resume_runs
    from resile.contain.transaction import Transaction
    from resile.contain.transaction.differing import diff_text
    from resile.contain.watch import StopRequest

__all__ = [
    "CONTAINED_VARIABLE",
    "RUNS_VARIABLE",
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
    "Hold",
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
    "Switches",
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
    "held",
    "hold_runs",
    "kill_everything",
    "kill_run",
    "matching",
    "open_tree",
    "probe",
    "recover_runs",
    "remember",
    "remembered",
    "resume_runs",
    "run",
    "runs_folder",
    "sandbox_facts",
]


def __getattr__(name: str) -> object:
    from resile.contain._homes import HOMES
    from resile.core.lazy import load

    return load(__name__, name, HOMES)
