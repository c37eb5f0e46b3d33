"""Everything of contained runs, for `resile.contain` to load when it is first asked for."""

from resile.contain.api import (
    RunOptions,
    arun,
    run,
)
from resile.contain.host import (
    STATE_VARIABLE,
    Host,
    default_host,
)
from resile.contain.kill import (
    kill_run,
)
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
from resile.contain.recover import (
    Recovered,
    recover_runs,
)
from resile.contain.runner import (
    Run,
)
from resile.contain.runs import RunRecord, Runs
from resile.contain.sandboxes import (
    SandboxFacts,
    sandbox_facts,
)
from resile.contain.settle import (
    commit_run,
    diff_of,
    discard_run,
)
from resile.contain.spec import (
    RunSpec,
)
from resile.contain.transaction import Transaction
from resile.contain.transaction.differing import diff_text
from resile.contain.watch import (
    StopRequest,
)

__all__ = [
    "RUNS_VARIABLE",
    "STATE_VARIABLE",
    "STRICT",
    "AtQuota",
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
    "kill_run",
    "recover_runs",
    "run",
    "runs_folder",
    "sandbox_facts",
]
