"""Run a script as a plain child process: in the knowledge base's folder, with a time-out.

The child leads its own process group, which is killed as a whole when the time is up and when the
script has ended. A child that leaves the group survives; containing it is not this module's job.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

OUTPUT_BYTES_MAX = 64 << 10
"""So much of each output is kept; what comes after is read and thrown away."""
COMMANDS = {"python": (sys.executable, "-I"), "shell": ("/bin/sh",)}
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a script ended.

    Args:
        exit_code: Negative is the signal that ended it.
        is_timed_out: It was killed because its time was up.
        stdout: The first OUTPUT_BYTES_MAX bytes.
        stderr: As above.
    """

    exit_code: int
    is_timed_out: bool
    stdout: str
    stderr: str


class Runner:
    """Runs scripts. Safe to share between threads.

    Args:
        knowledge: The folder that scripts start in.
        runs: Where each gets a folder of its own for as long as it runs.
    """

    def __init__(self, *, knowledge: Path, runs: Path) -> None:
        self._knowledge = knowledge.absolute()
        self._runs = runs.absolute()
        self._lock = threading.Lock()
        self._running: set[int] = set()

    def run(
        self, script: str, *, language: str, inputs: Mapping[str, Any], timeout_s: float
    ) -> Run:
        """Run a script to its end; its inputs are JSON on its standard input.

        Raises:
            OSError: If it cannot be started.
        """
        with tempfile.TemporaryDirectory(dir=self._runs) as folder:
            path = Path(folder) / "script"
            path.write_text(script, encoding="utf-8", errors="surrogatepass")
            stdin = Path(folder) / "inputs.json"
            stdin.write_text(json.dumps(inputs))
            with stdin.open("rb") as source:
                return self._run([*COMMANDS[language], str(path)], source, timeout_s)

    def abort(self) -> None:
        """Kill every script that runs."""
        with self._lock:
            for pid in self._running:
                _kill_group(pid)

    def _run(self, argv: list[str], stdin: IO[bytes], timeout_s: float) -> Run:
        with subprocess.Popen(
            argv,
            cwd=self._knowledge,
            env={"PATH": _PATH, "HOME": str(self._knowledge), "LANG": "C.UTF-8"},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            with self._lock:
                self._running.add(child.pid)
            try:
                stdout, stderr, is_timed_out = _watch(child, timeout_s)
            finally:
                # The lock keeps `abort` from a pid that is reaped and given to somebody else.
                with self._lock:
                    _kill_group(child.pid)
                    child.wait()
                    self._running.discard(child.pid)
        return Run(
            exit_code=child.returncode,
            is_timed_out=is_timed_out,
            stdout=stdout.decode(errors="replace"),
            stderr=stderr.decode(errors="replace"),
        )


def _watch(child: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, bytes, bool]:
    """Collect output until the child itself ends (not who inherited its pipes) or time is up."""
    stdout, stderr = child.stdout, child.stderr
    if stdout is None or stderr is None:
        raise AssertionError("the child was started without pipes")
    kept = {stdout.fileno(): bytearray(), stderr.fileno(): bytearray()}
    deadline = time.monotonic() + timeout_s
    ended = os.pidfd_open(child.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for fd in (ended, *kept):
                selector.register(fd, selectors.EVENT_READ)
            is_timed_out = not _collect(selector, kept, ended, deadline)
    finally:
        os.close(ended)
    return bytes(kept[stdout.fileno()]), bytes(kept[stderr.fileno()]), is_timed_out


def _collect(
    selector: selectors.BaseSelector, kept: dict[int, bytearray], ended: int, deadline: float
) -> bool:
    """Read until `ended` is readable and the pipes hold nothing more; False if time ran out."""
    while (left := deadline - time.monotonic()) > 0:
        ready = {key.fd for key, _ in selector.select(left)}
        for fd in ready & kept.keys():
            piece = os.read(fd, 1 << 16)
            kept[fd] += piece[: OUTPUT_BYTES_MAX - len(kept[fd])]
            if not piece:
                selector.unregister(fd)
        if ready == {ended}:
            return True
    return False


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
