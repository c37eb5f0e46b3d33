"""The example system run directly: its five processes, on free ports and in a folder of their own."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[2] / "examples" / "agent_runtime"
WAIT_S = 30.0
KEY = "a key for tests alone"


@dataclass(frozen=True, kw_only=True)
class Process:
    """One of the five, and where it listens."""

    popen: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True, kw_only=True)
class System:
    """The whole example, on free ports and in a data folder of its own."""

    database: Process
    scanner: Process
    reasoner: Process
    outside: Process
    dispatcher: Process
    data: Path

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        return ask(self.dispatcher.port, method, path, body)

    def health(self) -> tuple[str, dict[str, Any]]:
        """Give its status, and what each component says that is not healthy."""
        _, answer = self.ask("GET", "/health")
        components = answer["components"].items()
        return answer["status"], {
            name: component.get("message", "")
            for name, component in components
            if component["status"] != "healthy"
        }

    def is_well_again(self) -> bool:
        """Wait until it needs no fallback any more, for at most WAIT_S: the bar of the issue."""
        return holds_soon(lambda: self.health()[0] == "healthy")

    def dispatch(self, script: str, **more: Any) -> tuple[int, dict[str, Any]]:
        return self.ask("POST", "/dispatch", json.dumps({"script": script, **more}).encode())


def holds_soon(condition: Callable[[], bool]) -> bool:
    """Wait for what becomes true by itself."""
    deadline_s = time.monotonic() + WAIT_S
    while not (holds := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return holds


def ask(
    port: int, method: str, path: str, body: bytes | None, **headers: str
) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def plan_status(port: int, key: str) -> int:
    """Ask the reasoner for a plan; give the status of its answer."""
    return ask(port, "POST", "/plan", b'{"script": ""}', Authorization=f"Bearer {key}")[0]


def log_in(path: Path, login: str) -> dict[str, Any]:
    """Ask the database at a socket for the policies, with a login as the secret has it."""
    fields = json.loads(login)
    request = json.dumps({"user": fields["username"], "password": fields["password"]}).encode()
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as lines:
        connection.settimeout(WAIT_S)
        connection.connect(str(path))
        connection.sendall(len(request).to_bytes(4, "big") + request)
        answer: dict[str, Any] = json.loads(lines.read(int.from_bytes(lines.read(4), "big")))
    return answer


def start(
    stack: ExitStack,
    module: str,
    data: Path,
    *,
    command: Sequence[str] = (),
    **environment: str,
) -> Process:
    """Start a process of the example, or another command, and wait until it says where it listens."""
    popen = stack.enter_context(
        subprocess.Popen(
            command or [sys.executable, "-m", f"agent_runtime.{module}"],
            cwd=HOME,
            env={
                **environ(data),
                "RESILE_RUNS_DIR": str(data / "contained" / "runs"),
                **environment,
            },
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # as every service manager does: the scheduler groups by it
        )
    )
    stack.callback(end, popen)
    if popen.stdout is None:
        raise AssertionError("the process has no pipe")
    line = popen.stdout.readline()
    assert "listening on " in line, f"{module} said {line!r}"
    return Process(popen=popen, address=line.rpartition("listening on ")[2].strip())


def environ(data: Path) -> dict[str, str]:
    """Give the variables of a process that no daemon starts: it finds its secrets in files."""
    return {
        **os.environ,
        "AGENT_RUNTIME_DATA": str(data),
        "RESILE_SECRETS": f"file:{data / 'secrets'}",
    }


def give_secrets(data: Path) -> None:
    """Give a system the key of the reasoner, and a login of its database."""
    login, logins = _login()
    (data / "database").mkdir()
    (data / "database" / "logins.json").write_bytes(logins)
    for name, value in (("db/policy", login), ("api/reasoner", KEY)):
        path = data / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
        path.chmod(0o600)


@cache
def _login() -> tuple[str, bytes]:
    """Make a login as a rotation does; give it, and what the database keeps of it."""
    data = Path(tempfile.mkdtemp())
    try:
        login = rotate(data, "prepare")
        rotate(data, "set", after=login)
        return login, (data / "database" / "logins.json").read_bytes()
    finally:
        shutil.rmtree(data)


def rotate(data: Path, step: str, *, before: str = "", after: str = "") -> str:
    """Do one step of a rotation of the database's login, and give what it says."""
    turn = {
        key: {"value": value} if value else None
        for key, value in (("before", before), ("after", after))
    }
    done = subprocess.run(
        [sys.executable, "-m", "agent_runtime.rotate", step],
        cwd=HOME,
        env=environ(data),
        input=json.dumps(turn),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    return done.stdout.strip()


def end(popen: subprocess.Popen[str]) -> None:
    """Ask it to end, so that it leaves nothing behind."""
    popen.terminate()
    popen.wait(WAIT_S)


def run_system(data: Path) -> Iterator[System]:
    give_secrets(data)
    with ExitStack() as stack:
        database = start(stack, "database", data)
        scanner = start(stack, "scanner", data)
        reasoner = start(stack, "reasoner", data, AGENT_RUNTIME_REASONER_PORT="0")
        outside = start(stack, "outside", data, AGENT_RUNTIME_OUTSIDE_PORT="0")
        dispatcher = start(
            stack,
            "dispatcher",
            data,
            AGENT_RUNTIME_DISPATCHER_PORT="0",
            AGENT_RUNTIME_REASONER_PORT=str(reasoner.port),
            AGENT_RUNTIME_OUTSIDE_PORT=str(outside.port),
        )
        yield System(
            database=database,
            scanner=scanner,
            reasoner=reasoner,
            outside=outside,
            dispatcher=dispatcher,
            data=data,
        )


def kill(process: Process) -> None:
    process.popen.kill()
    process.popen.wait(WAIT_S)
