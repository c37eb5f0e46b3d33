"""Take scripts over HTTP and run those that policy and scanner let through.

`POST /dispatch` takes {"script": TEXT, "inputs": {...}, "agent": NAME, "language": "python" or
"shell", "timeout_s": NUMBER}; all but the script may be left out. The answer's `verdict` is
`completed`, `timed_out`, or `stopped` by another limit or for what it tried (200), `denied` by
policy or `blocked` by the scanner (403). `ended` names the reason in one word, `changes` what the
script changed, and `is_committed` whether that is in the knowledge base now. `checkpoint` names the
snapshot of it from before the run, or `no_checkpoint` says why there is none. `report` tells
whether the outside knows of it already.

While something that it asks is away, it works on: `warnings` says without what. Only without any
policies nothing runs: the answer is 503. `GET /live` tells whether the process itself works; `GET /health`,
`/health/live`, `/health/ready` and `/metrics` tell how it is.
"""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import resile
from agent_runtime import seed
from agent_runtime.checkpoint import take_checkpoint
from agent_runtime.dependencies import Dependencies, UnavailableError
from agent_runtime.http_service import (
    Answer,
    HttpService,
    RefusedError,
    object_field,
    text_field,
)
from agent_runtime.lifecycle import serve
from agent_runtime.runner import COMMANDS, Runner, changes_of, is_committed, text
from agent_runtime.settings import HOME, HOST, Settings, from_environment
from resile import HealthResult, HealthStatus, Outcome, ResileError
from resile.core.vocabulary import RunReason

RUNS_MAX = 16
"""Scripts at once; one more waits for RUN_WAIT_S, then gets 503."""
RUN_WAIT_S = 1.0
RUN_DESCRIPTORS = 16
"""A run opens no more than that at once. A process that cannot is started anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request that was understood."""

    script: str
    inputs: Mapping[str, Any]
    agent: str
    language: str
    timeout_s: float
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Dispatcher:
    """Answers requests. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.dependencies = Dependencies(settings)
        self._runner = Runner(knowledge=settings.knowledge, runs=settings.runs)
        self._slots = threading.BoundedSemaphore(RUNS_MAX)

    def dispatch(self, body: Mapping[str, Any]) -> Answer:
        """Answer `POST /dispatch`."""
        began_s = time.monotonic()
        job = _read_job(body)
        status, decided = self._decide(job)
        result = {"run_id": job.run_id, **_NO_RUN, **decided}
        reported = {key: result[key] for key in ("run_id", "verdict", "ended", "is_committed")}
        result["report"] = self.dependencies.report({**reported, "agent": job.agent})
        return status, {**result, "took_ms": round((time.monotonic() - began_s) * 1000, 1)}

    def abort(self) -> None:
        """Kill every script that runs, so that its request is answered."""
        self._runner.abort()

    def close(self) -> None:
        """Let go of what runs share."""
        self.dependencies.close()
        self._runner.close()

    def _decide(self, job: Job) -> Answer:
        try:
            rules, *warnings = self.dependencies.rules()
        except UnavailableError as exc:
            raise RefusedError(503, str(exc), hint="try again: nothing was run") from exc
        verdict = rules.verdict(job.agent, job.language)
        if not verdict.is_allowed:
            return 403, {"verdict": "denied", "reason": verdict.reason, "warnings": _told(warnings)}
        matches = self.dependencies.scan(job.script)
        if matches.items:
            blocked = {
                "verdict": "blocked",
                "matches": matches.items,
                "reason": _why(matches.items),
            }
            return 403, {**blocked, "warnings": _told(warnings)}
        request = {"script": job.script, "language": job.language, "inputs": job.inputs}
        plan = self.dependencies.plan(request)
        result = self._run(job, min(job.timeout_s, verdict.run_s_max))
        warnings += [matches.warning, plan.warning]
        return 200, {**result, "plan": plan.items, "warnings": _told(warnings)}

    def _run(self, job: Job, timeout_s: float) -> Mapping[str, Any]:
        if not self._slots.acquire(timeout=RUN_WAIT_S):
            raise RefusedError(503, f"{RUNS_MAX} scripts run already", hint="try again later")
        try:
            checkpoint = take_checkpoint(self._settings.knowledge, job.run_id)
            outcome = self._runner.run(
                job.script, language=job.language, inputs=job.inputs, timeout_s=timeout_s
            )
        except ResileError as exc:
            raise RefusedError(503, f"the script could not be run: {exc.message}") from exc
        except OSError as exc:
            raise RefusedError(503, f"the script could not be written: {exc}") from exc
        finally:
            self._slots.release()
        if outcome.reason is RunReason.LAUNCH_FAILED:
            raise RefusedError(503, f"the script could not be run: {outcome.message}")
        return {
            "verdict": _verdict(outcome),
            "reason": outcome.message if outcome.code != "OK" or not outcome.is_ok else "",
            "ended": outcome.reason.value,
            "exit_code": outcome.exit_code,
            "stdout": text(outcome.stdout),
            "stderr": text(outcome.stderr),
            "changes": changes_of(outcome),
            "is_committed": is_committed(outcome),
            "contained_run": outcome.run_id,
            **checkpoint,
        }


_NO_RUN: Mapping[str, Any] = {
    "verdict": "",
    "reason": "",
    "exit_code": None,
    "stdout": "",
    "stderr": "",
    "ended": "",
    "changes": [],
    "is_committed": False,
    "checkpoint": "",
    "no_checkpoint": "",
    "matches": [],
    "plan": [],
    "warnings": [],
}


def _read_job(body: Mapping[str, Any]) -> Job:
    language = text_field(body, "language", "python")
    if language not in COMMANDS:
        raise RefusedError(400, f'"language" is {language!r}', hint=f"one of {', '.join(COMMANDS)}")
    timeout_s = body.get("timeout_s", 60)
    if not isinstance(timeout_s, int | float) or isinstance(timeout_s, bool) or not timeout_s > 0:
        raise RefusedError(400, '"timeout_s" must be a number above 0')
    return Job(
        script=text_field(body, "script"),
        inputs=object_field(body, "inputs"),
        agent=text_field(body, "agent", "guest"),
        language=language,
        timeout_s=timeout_s,
    )


def _verdict(outcome: Outcome) -> str:
    if outcome.code == "TIMEOUT":
        return "timed_out"
    return "completed" if outcome.code == "OK" else "stopped"


def _told(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if warning]


def _why(matches: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(match["description"] for match in matches)


def _live(_: Mapping[str, Any]) -> Answer:
    """Tell whether the process itself works: it does not if it can open nothing more, as then no script runs."""
    try:
        with ExitStack() as stack:
            for _number in range(RUN_DESCRIPTORS):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        raise RefusedError(503, f"no script can be run: {exc.strerror}") from exc
    return 200, {"live": True}


def _health(dependencies: Dependencies) -> resile.Health:
    """Tell how the dispatcher is: ready as long as it can decide, degraded without what it asks."""
    health = resile.Health(prefix="dispatcher")
    health.check("database")(dependencies.ping_database)
    health.add_scanner(dependencies.ping_scanner)
    health.add_disk()
    health.add_memory()

    @health.check("policies", critical=True)
    def policies() -> None:
        dependencies.rules()

    @health.check("services")
    def services() -> HealthResult:
        degraded = dependencies.services.degraded()
        status = HealthStatus.DEGRADED if degraded else HealthStatus.HEALTHY
        return HealthResult(status, f"without {', '.join(degraded)}" if degraded else "")

    return health


def main() -> None:
    """Dispatch until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    for left_behind in settings.runs.iterdir():  # By a dispatcher that was killed.
        shutil.rmtree(left_behind, ignore_errors=True)
    with resile.load(HOME / "resile.toml", watch=True):
        dispatcher = Dispatcher(settings)
        health = _health(dispatcher.dependencies)
        port = settings.dispatcher_port

        def open_server() -> HttpService:
            routes = {("POST", "/dispatch"): dispatcher.dispatch, ("GET", "/live"): _live}
            server = HttpService(port, routes, mounted=health.wsgi())
            health.add_connections(lambda: server.connections)
            return server

        serve("dispatcher", open_server, where=f"{HOST}:{port}", abort=dispatcher.abort)
        dispatcher.close()


if __name__ == "__main__":
    main()
