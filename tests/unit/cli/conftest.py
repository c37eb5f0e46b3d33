"""A small daemon that answers over a unix socket, and the command run inside this process."""

import http.server
import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from resile.cli.main import run
from resile.cli.places import Places
from resile.core.process import identity_of

STATUS: dict[str, Any] = {
    "name": "shop",
    "state": "DEGRADED",
    "brain": {"pid": 11, "started_at": "2030-01-01T00:00:00+00:00"},
    "guard": {"pid": 10},
    "journal": {"seq": 2, "hash": "00"},
    "services": [
        {
            "name": "api",
            "pid": 12,
            "state": "UP",
            "phase": "running",
            "restarts": 3,
            "since": "2030-01-01T00:00:00+00:00",
            "generation": 4,
            "reason": "",
            "depends_on": [],
            "memory_bytes": 3 << 20,
            "cpu_share": 0.25,
            "uptime_s": 90.0,
        },
        {
            "name": "db",
            "pid": None,
            "state": "DOWN",
            "phase": "backoff",
            "restarts": 0,
            "since": None,
            "generation": 1,
            "reason": "exit \x1b[31mcode\n 3",
            "depends_on": [],
        },
    ],
    "checks": [
        {"id": "api.live", "service": "api", "group": "live", "state": "UP"},
        {"id": "disk", "service": "", "group": "system", "state": "UP", "reason": "80% free"},
    ],
    "incidents_open": 1,
}


def event(seq: int, kind: str = "process.exited", subject: str = "service/api") -> dict[str, Any]:
    return {
        "seq": seq,
        "id": f"evt_{seq}",
        "at": "2030-01-01T00:00:00+00:00",
        "kind": kind,
        "subject": subject,
        "text": f"text {seq}",
        "body": {},
        "hash": "00",
    }


Answer = tuple[int, Any]
Respond = Callable[[str, str, Any], Answer]


class FakeDaemon:
    """Answers what `routes` says: method and path (without query) to (status, data)."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Answer | Callable[[Any], Answer]] = {
            ("GET", "/api/status"): (200, STATUS),
            ("GET", "/livez"): (200, "ok\n"),
        }
        self.asked: list[tuple[str, str, Any]] = []

    def respond(self, method: str, target: str, body: Any) -> Answer:
        self.asked.append((method, target, body))
        route = self.routes.get(
            (method, target.partition("?")[0]), (404, {"error": "no such path"})
        )
        return route(body) if callable(route) else route


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    fake: FakeDaemon


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._answer(json.loads(self.rfile.read(length) or b"null"))

    def _answer(self, body: Any) -> None:
        status, data = self.server.fake.respond(self.command, self.path, body)
        if status == 0:  # the daemon dies in the middle
            self.close_connection = True
            return
        content = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@contextmanager
def serving(fake: FakeDaemon, path: Path) -> Iterator[None]:
    """Serve at a path, however long it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_PATH)
    server = _Server(f"/proc/self/fd/{folder}/{path.name}", _Handler)
    os.close(folder)
    server.fake = fake
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink(missing_ok=True)


def pretend_guard(places: Places, pid: int | None = None) -> None:
    """Write facts that say that this very test process (or that one) is the guard."""
    identity = identity_of(pid or os.getpid())
    assert identity is not None
    places.run.mkdir(parents=True, exist_ok=True)
    places.guard_facts.write_text(
        json.dumps(
            {
                "pid": identity.pid,
                "start_ticks": identity.start_ticks,
                "boot_id": identity.boot_id,
                "started_at": "2030-01-01T00:00:00+00:00",
            }
        )
    )


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A folder with an empty resile.toml, entered."""
    (tmp_path / "resile.toml").touch()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RESILE_")]:
        monkeypatch.delenv(name)
    return Places(config=tmp_path / "resile.toml", state=tmp_path / ".resile")


@pytest.fixture
def daemon(places: Places) -> Iterator[FakeDaemon]:
    """A daemon that answers for the folder."""
    fake = FakeDaemon()
    with serving(fake, places.socket):
        yield fake


class Done:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def resile(places: Places, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command as a user types it, in the folder."""

    def typed(*words: str) -> Done:
        code = run(words)
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return typed
