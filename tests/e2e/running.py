"""A real daemon in a temporary folder, driven by the command as a user types it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.guarding import remove_guard

RESILE = Path(sys.executable).with_name("resile")
DEADLINE_S = 20.0
"""Generous: a slow machine may not turn a test red; a healthy one needs a tenth of it."""

SERVICE = """
import http.server, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.path.exists(sys.argv[2] + self.path.replace("/", "-")):
            time.sleep(60)
        self.send_response(503 if os.path.exists(sys.argv[2] + "-sick") else 200)
        self.end_headers()
    def log_message(self, *args):
        print("request", self.path, flush=True)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
print("listening", flush=True)
server.serve_forever()
"""


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class System:
    """One folder with a resile.toml, and what was started in it.

    A service `NAME` written by `web_service` hangs on a path such as `/live` while the file
    `NAME-live` exists in the folder, and answers 503 while `NAME-sick` exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.sections = [
            f'[resile]\nname = "test"\nhttp = {{ port = {self.port} }}\n',
        ]
        (folder / "service.py").write_text(SERVICE)

    def web_service(self, name: str, extra: str = "") -> int:
        """Declare a small HTTP service with a liveness and a readiness check."""
        port = free_port()
        # A second is short for a person and long for a machine that runs other tests as well.
        options = 'interval = "1s", timeout = "1s", fall = 3, rise = 1'
        self.sections.append(
            f"[service.{name}]\n"
            f'command = ["{sys.executable}", "service.py", "{port}", "{name}"]\n'
            f'ready = {{ http = "http://127.0.0.1:{port}/ready", {options} }}\n'
            f'live = {{ http = "http://127.0.0.1:{port}/live", {options} }}\n' + extra
        )
        return port

    def command_service(self, name: str, code: str, extra: str = "") -> None:
        """Declare a service that runs a line of Python."""
        path = self.folder / f"{name}.py"
        path.write_text(code)
        self.sections.append(
            f'[service.{name}]\ncommand = ["{sys.executable}", "{path}"]\n' + extra
        )

    def write(self) -> None:
        """Write resile.toml."""
        (self.folder / "resile.toml").write_text("\n".join(self.sections))

    def resile(self, *args: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the command in the folder."""
        return subprocess.run(
            [RESILE, *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=self.environ(),
        )

    def environ(self) -> dict[str, str]:
        """Give the user's environment, free of what a surrounding test run set."""
        return {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}

    def up(self) -> None:
        """Start the daemon in the background."""
        self.write()
        done = self.resile("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr

    def get(self, path: str) -> Any:
        """Ask the API over TCP: much cheaper than the command, for what is asked often."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def status(self) -> dict[str, Any]:
        """Ask for the status; wait for a brain that is being replaced."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                answer: dict[str, Any] = self.get("/api/status")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return answer

    def service(self, name: str) -> dict[str, Any]:
        """Ask for one service's status."""
        (found,) = [s for s in self.status()["services"] if s["name"] == name]
        return dict(found)

    def incidents(self) -> list[dict[str, Any]]:
        """Ask for the incidents."""
        answer: list[dict[str, Any]] = self.get("/api/incidents")["incidents"]
        return answer

    def wait(self, what: str, condition: Callable[[], object]) -> Any:
        """Wait until the condition gives something true; say what was missing otherwise."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {DEADLINE_S} s: {what}\n{self.resile('status').stdout}")

    def wait_up(self, *names: str) -> None:
        """Wait until these services are UP."""
        self.wait(f"{names} up", lambda: all(self.service(name)["state"] == "UP" for name in names))

    def state_dir(self) -> Path:
        """Tell where the daemon keeps its state."""
        return self.folder / ".resile"

    def processes(self) -> list[int]:
        """List every process that belongs to this folder, by command line or working folder."""
        mine = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                inside = str(entry.joinpath("cwd").readlink()) == str(self.folder)
                if words and (inside or str(self.folder).encode() in words):
                    mine.append(int(entry.name))
        return mine

    def destroy(self) -> None:
        """End whatever is left, at once: how a daemon ends in order has tests of its own."""
        deadline = time.monotonic() + DEADLINE_S
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.state_dir().exists():
            remove_guard(self.state_dir())


def command_of(pid: int) -> bytes:
    """Give a process's command line; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@contextlib.contextmanager
def system(folder: Path) -> Iterator[System]:
    """Give a system that is destroyed afterwards."""
    made = System(folder)
    try:
        yield made
    finally:
        made.destroy()
