"""Contained runs that are only pretended, for tests of what shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConflictError, RejectedError

_MIB = 1 << 20
_CLOSED = (RunState.COMMITTED, RunState.DISCARDED)


class FakeRuns:
    """Implements `resile.web.RunsView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.diffs: dict[str, list[dict[str, Any]]] = {}
        """The workspaces of a run with their changes."""
        self.conflicts: dict[str, tuple[tuple[str, str], ...]] = {}
        """What refuses a run's commit: paths, and what happened to them."""
        self.decisions: list[tuple[str, str, tuple[str, ...], str]] = []
        """Verb, run, paths, who."""
        self.held_by: dict[str, Any] | None = None
        """Who holds new runs: `who`, `why`, `at`."""
        self.failure: Exception | None = None
        """What the next question raises."""

    def put(
        self, run_id: str, state: RunState, *, began_at: datetime, **facts: Any
    ) -> dict[str, Any]:
        """Add or replace a run; facts override those of one that runs, or ended well."""
        is_running = state is RunState.RUNNING
        run = {
            "id": run_id,
            "command": ["python", "agent.py"],
            "state": state,
            "is_open": state not in _CLOSED,
            "is_orphan": False,
            "commit": "ask",
            "profile": "strict",
            "backend": "native",
            "workspaces": ["/srv/kb"],
            "supervisor_pid": 4242,
            "began_at": began_at.isoformat(),
            "ended_at": None if is_running else began_at.isoformat(),
            "settled_at": began_at.isoformat() if state in _CLOSED else None,
            "settled_by": "ann" if state in _CLOSED else "",
            "reason": None if is_running else RunReason.OK,
            "code": "" if is_running else "OK",
            "message": "",
            "exit_code": None if is_running else 0,
            "signal": "",
            "changes": 0,
            "violations": 0,
            "limits": _limits(),
            "usage": _usage(is_running=is_running),
            "tried": [],
            "timeline": [],
        } | facts
        self.known[run_id] = run
        return run

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """Give the runs that the test put in, newest first."""
        self._fail_if_told()
        hidden = ("tried", "timeline")
        shown = [{k: v for k, v in run.items() if k not in hidden} for run in self.known.values()]
        return sorted(shown, key=lambda run: str(run["began_at"]), reverse=True)

    async def held(self) -> Mapping[str, Any] | None:
        """Give who holds new runs."""
        return self.held_by

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Give one run."""
        self._fail_if_told()
        return self.known.get(run_id)

    async def diff(self, run_id: str) -> Mapping[str, Any]:
        """Give the changes that the test put in.

        Raises:
            RejectedError: If the run does not wait for a decision.
        """
        self._waiting(run_id)
        return {"id": run_id, "workspaces": self.diffs.get(run_id, []), "is_cut": False}

    async def commit(self, run_id: str, *, paths: Sequence[str], who: str) -> int:
        """Remember the commit, and close the run.

        Raises:
            RejectedError: If the run does not wait for a decision.
            ConflictError: If the test says so.
        """
        run = self._waiting(run_id)
        if run_id in self.conflicts:
            found = self.conflicts[run_id]
            raise ConflictError(
                f"{len(found)} paths were changed by somebody else", paths=found, hint="look"
            )
        self.decisions.append(("commit", run_id, tuple(paths), who))
        run |= {"state": RunState.COMMITTED, "is_open": False, "settled_by": who}
        return len(paths) or int(run["changes"])

    async def discard(self, run_id: str, *, who: str) -> None:
        """Remember the discard, and close the run.

        Raises:
            RejectedError: If the run does not wait for a decision.
        """
        run = self._waiting(run_id)
        self.decisions.append(("discard", run_id, (), who))
        run |= {"state": RunState.DISCARDED, "is_open": False, "settled_by": who}

    async def kill(self, run_id: str, *, who: str) -> bool:
        """Remember the kill, and close a run that runs."""
        run = self.known[run_id]
        if run["state"] != RunState.RUNNING:
            return False
        self.decisions.append(("kill", run_id, (), who))
        run |= {"state": RunState.DISCARDED, "is_open": False, "reason": RunReason.KILLED}
        return True

    def _waiting(self, run_id: str) -> dict[str, Any]:
        run = self.known[run_id]
        if run["state"] is not RunState.READY:
            raise RejectedError(f"{run_id} is {run['state']}: it has nothing to settle")
        return run

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


def _limits() -> dict[str, Any]:
    return {
        "time_s": 10.0,
        "cpu_share": 0.5,
        "cpu_time_s": 0.0,
        "memory": 512 * _MIB,
        "processes": 5,
        "files": 256,
        "output_bytes": 10 * _MIB,
        "disk_bytes": 256 * _MIB,
        "disk_files": 10_000,
        "network": "none",
        "at_quota": "throttle",
        "quota_grace_s": 5.0,
        "grace_s": 0.2,
    }


def _usage(*, is_running: bool) -> dict[str, Any]:
    now = {"cpu_share": 0.31, "memory_bytes": 120 * _MIB} if is_running else {}
    return {
        "time_s": 4.2,
        "cpu_s": 1.6,
        "memory_max_bytes": 180 * _MIB,
        "processes_max": 3,
        "output_bytes": 48 << 10,
        "disk_bytes": 3 * _MIB,
        **now,
    }
