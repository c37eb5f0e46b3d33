"""`resile up`: check everything, then become the guard, or start one in the background."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json_line, say
from resile.cli.places import Places, find_places
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.spawning import Spawner, SpawnSpec
from resile.errors import OperationError

START_TIMEOUT_S = 30.0
"""A daemon answers within a second; reading a long journal on a slow disk may take longer."""
STOP_MARGIN_S = 60.0
"""What stopping everything may take beyond the drains of the services."""
_POLL_S = 0.05
_TAIL_BYTES = 4096
_TAIL_LINES = 10


@click.command()
@config_option
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return when it answers.")
@json_option
def command(config: Path | None, *, detach: bool, as_json: bool) -> None:
    """Start everything that resile.toml declares, in the order of its dependencies.

    Stays in the foreground: Ctrl-C stops everything in order. With --detach it goes on without
    a terminal until `resile down`.
    """
    from resile.cli.preflight import check_ready_to_start, playbook_warnings
    from resile.core.config import load_config

    places = find_places(config)
    loaded = load_config(places.config, environ=os.environ)
    check_ready_to_start(loaded, places, environ=os.environ)
    for warning in playbook_warnings(loaded):
        say(f"warning: {warning}")
    # Dependents go before what they need, so in the worst case every drain is waited for in turn.
    drains_s = sum(service.stop.drain for service in loaded.service.values())
    stop_timeout_s = drains_s + STOP_MARGIN_S
    http = loaded.resile.http
    dashboard = dashboard_url(http.host, http.port)
    if not detach:
        if as_json:
            print_json_line({"guard": {"pid": os.getpid()}, "dashboard": dashboard})
        else:
            print(f"dashboard: {dashboard}\nCtrl-C stops everything in order", flush=True)
        _become_guard(places, stop_timeout_s=stop_timeout_s)
    pid = start_guard(places, stop_timeout_s=stop_timeout_s)
    if as_json:
        print_json_line({"guard": {"pid": pid}, "dashboard": dashboard})
    else:
        print(f"resile runs (guard {pid}); dashboard: {dashboard}")


def dashboard_url(host: str, port: int) -> str:
    """Give the address that a browser of this machine takes."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def start_guard(places: Places, *, stop_timeout_s: float, clock: Clock = SYSTEM_CLOCK) -> int:
    """Start the guard in a session of its own, and wait until the daemon answers; give its pid.

    Raises:
        OperationError: If it ended, or does not answer in time (then it is left running).
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(places.guard_log, flags, 0o600)
    begin = os.fstat(log).st_size
    try:
        spec = SpawnSpec(
            argv=_guard_argv(places, stop_timeout_s),
            env=dict(os.environ),
            cwd=str(places.config.parent),
            stdout_fd=log,
            stderr_fd=log,
        )
        spawner = Spawner()
        launch = spawner.launch(spec)
        launch.finish()
    finally:
        os.close(log)
    api = Api(places, timeout_s=1.0)
    deadline = clock.monotonic() + START_TIMEOUT_S
    while not api.is_answering():
        ended = spawner.reap(launch.pid)
        if ended is not None:
            _show_tail(places.guard_log, begin)
            code = ended.signal or f"exit code {ended.exit_code}"
            raise OperationError(
                f"the daemon ended while it was starting ({code})",
                hint=f"its last lines are above; all of them are in {places.guard_log}",
            )
        if clock.monotonic() >= deadline:
            _show_tail(places.guard_log, begin)
            raise OperationError(
                f"the daemon (guard {launch.pid}) does not answer after {START_TIMEOUT_S:g} s",
                hint=f"see {places.guard_log}, or end it with `resile down`",
            )
        clock.sleep(_POLL_S)
    return launch.pid


def _become_guard(places: Places, *, stop_timeout_s: float) -> NoReturn:
    sys.stdout.flush()
    argv = _guard_argv(places, stop_timeout_s)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is meant


def _guard_argv(places: Places, stop_timeout_s: float) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "resile.daemon.guard"),
        *("--state", str(places.state), "--config", str(places.config)),
        *("--stop-timeout", f"{stop_timeout_s:g}"),
    )


def _show_tail(path: Path, begin: int) -> None:
    """Print the last lines that the daemon wrote since it was started."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < begin:  # The guard found the file full and began it anew.
            begin = 0
        file.seek(max(begin, size - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode(errors="replace")
    for line in text.splitlines()[-_TAIL_LINES:]:
        say(f"  {line}")
