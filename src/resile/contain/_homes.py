"""Where the names are that `resile.contain` loads when they are first used."""

from typing import Final

HOMES: Final = {
    "api": (
        "RunOptions",
        "arun",
        "run",
    ),
    "host": (
        "Host",
        "default_host",
    ),
    "kill": ("kill_run",),
    "model": (
        "AtQuota",
        "Change",
        "ChangeKind",
        "CommitMode",
        "Limits",
        "Network",
        "Outcome",
        "STRICT",
        "Usage",
        "Violation",
        "WorkspaceDiff",
        "build_limits",
    ),
    "places": (
        "RUNS_VARIABLE",
        "runs_folder",
    ),
    "recover": (
        "Recovered",
        "recover_runs",
    ),
    "runner": ("Run",),
    "runs": (
        "RunRecord",
        "Runs",
        "matching",
    ),
    "sandboxes": (
        "SandboxFacts",
        "sandbox_facts",
    ),
    "settle": (
        "commit_run",
        "diff_of",
        "discard_run",
    ),
    "spec": (
        "CONTAINED_VARIABLE",
        "RunSpec",
    ),
    "switches": (
        "Hold",
        "Switches",
        "held",
        "hold_runs",
        "resume_runs",
    ),
    "transaction": ("Transaction",),
    "transaction.differing": ("diff_text",),
    "watch": ("StopRequest",),
}
