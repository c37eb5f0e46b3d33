"""Run a script contained: under limits, in a sandbox, as a transaction over the knowledge base.

What a script changes is committed when it ends well, and undone when it does not. Scripts run side
by side; where two change the same file, the later one is run again on what the earlier one left.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import resile
from resile.contain import StopRequest, default_host, discard_run
from resile.core.vocabulary import RunReason, RunState

OUTPUT_BYTES_MAX = 64 << 10
"""So much of each output is given; a script that prints much more is stopped."""
COMMANDS = {"python": (sys.executable, "-I"), "shell": ("/bin/sh",)}
TRIES_MAX = 3
"""Against others who change the same files; then the conflict is the answer."""


class Runner:
    """Runs scripts. Safe to share between threads.

    Args:
        knowledge: The folder that scripts start in, and may change.
        runs: Where each gets a folder of its own for as long as it runs.
    """

    def __init__(self, *, knowledge: Path, runs: Path) -> None:
        self._knowledge = knowledge.absolute()
        self._runs = runs.absolute()
        self._host = default_host()
        self._lock = threading.Lock()
        self._stops: set[StopRequest] = set()
        self._host.prepare_soon()

    def run(
        self, script: str, *, language: str, inputs: Mapping[str, Any], timeout_s: float
    ) -> resile.Outcome:
        """Run a script to its end; its inputs are JSON on its standard input.

        Raises:
            ResileError: If it cannot be run.
        """
        with tempfile.TemporaryDirectory(dir=self._runs) as folder, closing(StopRequest()) as stop:
            path = Path(folder) / "script"
            path.write_text(script, encoding="utf-8", errors="surrogatepass")
            with self._lock:
                self._stops.add(stop)
            try:
                return self._run([*COMMANDS[language], str(path)], path, inputs, timeout_s, stop)
            finally:
                with self._lock:
                    self._stops.discard(stop)

    def abort(self) -> None:
        """Kill every script that runs, so that its request is answered."""
        with self._lock:
            for stop in self._stops:
                stop.ask("the dispatcher ends")

    def close(self) -> None:
        """Let go of what runs share."""
        self._host.close()

    def _run(
        self,
        argv: list[str],
        script: Path,
        inputs: Mapping[str, Any],
        timeout_s: float,
        stop: StopRequest,
    ) -> resile.Outcome:
        for _ in range(TRIES_MAX):
            outcome = resile.run(
                argv,
                limits=resile.Limits(
                    time_s=timeout_s,
                    cpu_share=1.0,
                    memory=128 << 20,
                    processes=8,
                    output_bytes=1 << 20,
                    disk_bytes=32 << 20,
                    disk_files=1000,
                ),
                workspace=self._knowledge,
                stdin=json.dumps(inputs).encode(),
                shown=[script],
                stop=stop,
                host=self._host,
            )
            if outcome.state is RunState.READY:
                # Nobody looks at it here: what tried to leave a trap is undone, too.
                discard_run(self._host, self._host.runs.read(outcome.run_id), who="dispatcher")
            if outcome.reason is not RunReason.COMMIT_CONFLICT:
                break
        return outcome


def changes_of(outcome: resile.Outcome) -> list[dict[str, str]]:
    """List what a run changed, as it is answered."""
    return [
        {"path": change.path, "change": change.kind.value}
        for diff in outcome.diffs
        for change in diff.changes
    ]


def is_committed(outcome: resile.Outcome) -> bool:
    """Tell whether what it changed is in the knowledge base now."""
    return outcome.state is RunState.COMMITTED


def text(output: bytes) -> str:
    """Give the beginning of an output as text."""
    return output[:OUTPUT_BYTES_MAX].decode(errors="replace")
