"""Where a test sets up what a check looks at."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres import Server

from resile.core.clock import SYSTEM_CLOCK
from resile.core.process import Identity, identity_of
from resile.core.spawning import run_bounded
from resile.health import CheckKind, CheckResult, CheckSpec, LookContext, look

PATIENT_S = 10.0


class Stage:
    """Where a situation is set up; everything is torn down with the test."""

    def __init__(self, folder: Path, stack: ExitStack, request: pytest.FixtureRequest) -> None:
        self.folder = folder
        self.stack = stack
        self.request = request
        self.processes: dict[str, Identity] = {}
        self.silences_s: dict[str, float | None] = {}

    def spawn(self, code: str) -> subprocess.Popen[bytes]:
        """Start Python code; its standard input stays open until the test is over."""
        process = self.stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        self.stack.callback(process.kill)
        return process

    def service(self, code: str = "input()") -> subprocess.Popen[bytes]:
        """Start the process of the service `api`."""
        process = self.spawn(code)
        identity = identity_of(process.pid)
        assert identity is not None
        self.processes["api"] = identity
        return process

    def postgres(self) -> Server:
        server: Server = self.request.getfixturevalue("postgres")
        return server

    def look(self, kind: CheckKind, target: str = "", **options: Any) -> CheckResult:
        fields = {"timeout_s": PATIENT_S, "interval_s": 60.0, **options}
        spec = CheckSpec(id="check", kind=kind, target=target, **fields)
        context = LookContext(
            clock=SYSTEM_CLOCK,
            run=run_bounded,
            process_of=self.processes.get,
            silence_s_of=lambda source: self.silences_s[source],
        )
        return look(spec, context)
