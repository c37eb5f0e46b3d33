"""How long the command and the library take to start.

Modules are compiled beforehand, as they are after the first run of an installed package. Each
figure is the median of interleaved runs in fresh processes, and in brackets the second quickest:
what the work itself takes, without what else the machine does. The bare interpreter runs beside.
"""

import http.server
import json
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROUNDS = 25
STATUS_BAR_MS = 150
IMPORT_BAR_MS = 30
SERVICES = 20
RESILE = Path(sys.executable).with_name("resile")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        system = Path(folder, "system")
        (system / ".resile" / "run").mkdir(parents=True)
        (system / "resile.toml").touch()
        with serving(system / ".resile" / "run" / "resile.sock"):
            figures = measure(
                {
                    "bare": ([sys.executable, "-c", "pass"], system),
                    "import": ([sys.executable, "-c", "import resile"], system),
                    "status": ([str(RESILE), "status"], system),
                    "json": ([str(RESILE), "status", "--json"], system),
                },
                environ,
            )
        loaded = loads_asyncio(environ)
    bare, imported = figures["bare"], figures["import"]
    print(f"{'bar':<44} | {'target':>8} | measured")
    above = [run - empty for run, empty in zip(imported, bare, strict=True)]
    row("import resile, above a bare interpreter", f"< {IMPORT_BAR_MS} ms", above)
    row("resile status, warm, whole process", f"< {STATUS_BAR_MS} ms", figures["status"])
    row("resile status --json, warm, whole process", f"< {STATUS_BAR_MS} ms", figures["json"])
    row("  of which the bare interpreter", "", bare)
    print(f"{'import resile loads asyncio':<44} | {'no':>8} | {'yes' if loaded else 'no'}")


def row(bar: str, target: str, runs_ms: list[float]) -> None:
    median, quickest = statistics.median(runs_ms), sorted(runs_ms)[1]
    print(f"{bar:<44} | {target:>8} | {median:.1f} ms ({quickest:.1f})")


def measure(
    commands: dict[str, tuple[list[str], Path]], environ: dict[str, str]
) -> dict[str, list[float]]:
    """Run each command once to warm up, then all of them in turn; give the times in ms."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(ROUNDS + 1):
        for name, (argv, cwd) in commands.items():
            began = time.perf_counter()
            subprocess.run(argv, cwd=cwd, env=environ, check=True, stdout=subprocess.DEVNULL)
            if round_number:
                taken[name].append((time.perf_counter() - began) * 1000)
    return taken


def loads_asyncio(environ: dict[str, str]) -> bool:
    code = "import sys, resile; sys.exit('asyncio' in sys.modules)"
    return bool(subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode)


class serving:  # noqa: N801 - reads as a context
    """A daemon that answers the status of `SERVICES` services."""

    def __init__(self, path: Path) -> None:
        self._server = socketserver.UnixStreamServer(str(path), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Answer(http.server.BaseHTTPRequestHandler):
    """The answer to whatever is asked."""

    def do_GET(self) -> None:
        """Give the status."""
        content = json.dumps(
            {
                "name": "bench",
                "state": "UP",
                "incidents_open": 0,
                "services": [
                    {"name": f"s{i}", "state": "UP", "phase": "running", "pid": 100 + i}
                    for i in range(SERVICES)
                ],
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


if __name__ == "__main__":
    main()
