"""Take scripts over HTTP and run those that policy and scanner let through.

`POST /dispatch` takes {"script": TEXT, "inputs": {...}, "agent": NAME, "language": "python" or
"shell", "timeout_s": NUMBER}; all but the script may be left out. The answer's `verdict` is
`completed`, `timed_out`, or `stopped` by another limit or for what it tried (200), `denied` by
policy or `blocked` by the scanner (403). `ended` names the reason in one word, `changes` what the
script changed, and `is_committed` whether that is in the knowledge base now. `checkpoint` names the
snapshot of it from before the run, or `no_checkpoint` says why there is none. While the policy
database, the scanner or the reasoner is away, nothing runs: the answer is 503.
"""

import http.client
import json
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_runtime import seed, wire
from agent_runtime.checkpoint import take_checkpoint
from agent_runtime.http_service import (
    Answer,
    HttpService,
    RefusedError,
    object_field,
    text_field,
)
from agent_runtime.lifecycle import serve
from agent_runtime.policy import PolicyDatabase, PolicyUnavailableError
from agent_runtime.runner import COMMANDS, Runner, changes_of, is_committed, text
from agent_runtime.settings import HOST, Settings, from_environment
from resile import Outcome, ResileError
from resile.core.vocabulary import RunReason

RUNS_MAX = 16
"""Scripts at once; one more waits for RUN_WAIT_S, then gets 503."""
RUN_WAIT_S = 1.0
ASK_TIMEOUT_S = 8.0
"""For a scan or a plan; longer than the scanner's own limit, so that its error arrives."""
PROBE_TIMEOUT_S = 0.4
"""For a look at one dependency; all of them together stay below a check's time-out of 1 s."""


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
        self._policy = PolicyDatabase(settings.policy_db)
        self._runner = Runner(knowledge=settings.knowledge, runs=settings.runs)
        self._slots = threading.BoundedSemaphore(RUNS_MAX)

    def dispatch(self, body: Mapping[str, Any]) -> Answer:
        """Answer `POST /dispatch`."""
        began_s = time.monotonic()
        job = _read_job(body)
        status, result = self._decide(job)
        took_ms = round((time.monotonic() - began_s) * 1000, 1)
        return status, {"run_id": job.run_id, **_NO_RUN, **result, "took_ms": took_ms}

    def ready(self, _: Mapping[str, Any]) -> Answer:
        """Answer `GET /ready`: every dependency is reachable, so work may be sent here."""
        state = {
            "policy": self._policy.is_reachable(),
            "scanner": _succeeds(lambda: self._ask_scanner({"ping": True}, PROBE_TIMEOUT_S)),
            "reasoner": _succeeds(lambda: self._ask_reasoner("GET", "/ready", {}, PROBE_TIMEOUT_S)),
        }
        is_ready = all(state.values())
        return (200 if is_ready else 503), {"ready": is_ready, **state}

    def live(self, _: Mapping[str, Any]) -> Answer:
        """Answer `GET /live`: this process works. Never looks at dependencies."""
        return 200, {"live": True}

    def abort(self) -> None:
        """Kill every script that runs, so that its request is answered."""
        self._runner.abort()

    def close(self) -> None:
        """Let go of what runs share."""
        self._runner.close()

    def _decide(self, job: Job) -> Answer:
        try:
            verdict = self._policy.ask(job.agent, job.language)
            if not verdict.is_allowed:
                return 403, {"verdict": "denied", "reason": verdict.reason}
            matches = self._ask_scanner({"script": job.script}, ASK_TIMEOUT_S)["matches"]
            if matches:
                return 403, {"verdict": "blocked", "matches": matches, "reason": _why(matches)}
            request = {"script": job.script, "language": job.language, "inputs": job.inputs}
            plan = self._ask_reasoner("POST", "/plan", request, ASK_TIMEOUT_S)["plan"]
        except (PolicyUnavailableError, UnavailableError) as exc:
            raise RefusedError(503, str(exc), hint="try again: nothing was run") from exc
        return 200, {**self._run(job, min(job.timeout_s, verdict.run_s_max)), "plan": plan}

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

    def _ask_scanner(self, message: Mapping[str, Any], timeout_s: float) -> Mapping[str, Any]:
        try:
            answer = wire.ask(self._settings.scanner_socket, message, timeout_s=timeout_s)
        except (OSError, ValueError) as exc:
            raise UnavailableError(f"the scanner does not answer: {exc}") from exc
        if "error" in answer:
            raise UnavailableError(f"the scanner cannot say: {answer['error']}")
        return answer

    def _ask_reasoner(
        self, method: str, path: str, message: Mapping[str, Any], timeout_s: float
    ) -> Mapping[str, Any]:
        port = self._settings.reasoner_port
        connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
        try:
            connection.request(method, path, json.dumps(message))
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as exc:
            raise UnavailableError(f"the reasoner does not answer: {exc}") from exc
        finally:
            connection.close()
        if response.status != http.client.OK or not isinstance(answer, dict):
            raise UnavailableError(f"the reasoner answered {response.status}")
        return answer


class UnavailableError(Exception):
    """A dependency did not do its part; nothing was run."""


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


def _why(matches: list[Mapping[str, Any]]) -> str:
    return "; ".join(match["description"] for match in matches)


def _succeeds(ask: Any) -> bool:
    try:
        ask()
    except UnavailableError:
        return False
    return True


def main() -> None:
    """Dispatch until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    for left_behind in settings.runs.iterdir():  # By a dispatcher that was killed.
        shutil.rmtree(left_behind, ignore_errors=True)
    dispatcher = Dispatcher(settings)
    routes = {
        ("POST", "/dispatch"): dispatcher.dispatch,
        ("GET", "/ready"): dispatcher.ready,
        ("GET", "/live"): dispatcher.live,
    }
    port = settings.dispatcher_port
    serve(
        "dispatcher",
        lambda: HttpService(port, routes),
        where=f"{HOST}:{port}",
        abort=dispatcher.abort,
    )
    dispatcher.close()


if __name__ == "__main__":
    main()
