"""`resile down`: stop everything in order, the daemon last, and wait until it is gone."""

import os
import signal
from pathlib import Path

import click

from resile.cli.api import Api
from resile.cli.guard import living_guard, wait_gone
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json, say
from resile.cli.places import Places, find_places
from resile.cli.who import operator
from resile.core.clock import SYSTEM_CLOCK
from resile.core.files import try_lock
from resile.core.process import Identity, send_signal
from resile.errors import ConfigError, OperationError, ResileError

PATIENCE_S = 1.0
"""A brain that does not answer for so long is left aside; the guard can end it all."""
MARGIN_S = 60.0
"""What stopping everything may take beyond the drains."""
_TIMEOUT_S = 5.0
_LOOK_S = 0.5
"""So often it is told which services have ended."""


@click.command()
@config_option
@click.option(
    "--timeout",
    "timeout_s",
    type=duration,
    help="How long to wait for the end.  [default: the drains of all services, and a minute]",
)
@json_option
def command(config: Path | None, *, timeout_s: float | None, as_json: bool) -> None:
    """Stop everything in order, the daemon last, and wait until it is gone.

    Does nothing, successfully, if no daemon runs.
    """
    places = find_places(config)
    guard = living_guard(places.guard_facts)
    if guard is None:
        _tell("no daemon runs here", False, _sweep(places), as_json=as_json)
        return
    api = Api(places, timeout_s=_TIMEOUT_S, patience_s=PATIENCE_S)
    if timeout_s is None:
        timeout_s = _drains_s(places) + MARGIN_S
    _ask(api, guard)
    if not _wait(api, guard, timeout_s=timeout_s):
        raise OperationError(
            f"the daemon (guard {guard.pid}) still runs after {timeout_s:g} s",
            hint="`resile status` shows what still stops; `kill -9` of the guard ends it all at once",
        )
    _tell("everything is stopped", True, _sweep(places), as_json=as_json)


def _drains_s(places: Places) -> float:
    """Add up how long the services may drain; 0 if the file is broken."""
    from resile.core.config import load_config

    try:
        services = load_config(places.config, environ=os.environ).service
    except ConfigError:
        return 0.0
    return sum(service.stop.drain for service in services.values())


def _ask(api: Api, guard: Identity) -> None:
    """Ask the brain; if it does not answer, the guard, which can do it alone."""
    try:
        api.post("/api/shutdown", {"who": operator()})
    except ResileError:
        say(f"the brain does not answer; asking the guard (pid {guard.pid})")
        send_signal(guard, signal.SIGTERM)


def _wait(api: Api, guard: Identity, *, timeout_s: float) -> bool:
    deadline = SYSTEM_CLOCK.monotonic() + timeout_s
    left: set[str] = set()
    while True:
        rest_s = deadline - SYSTEM_CLOCK.monotonic()
        if wait_gone(guard, timeout_s=min(_LOOK_S, rest_s)):
            return True
        if rest_s <= 0:
            return False
        running = _running(api)
        if running and running != left:
            say(f"still stopping: {', '.join(sorted(running))}")
            left = running


def _running(api: Api) -> set[str]:
    if not api.is_answering():
        return set()
    try:
        services = api.get("/api/status")["services"]
    except ResileError:
        return set()
    return {str(service["name"]) for service in services if service.get("pid")}


def _sweep(places: Places) -> tuple[str, ...]:
    """Kill what a dead guard left, and name it. Nothing is done while a guard holds the folder."""
    from resile.contain import kill_everything

    if not places.run.is_dir():
        return ()
    lock = try_lock(places.lock)
    if lock is None:
        return ()
    with lock:
        return kill_everything(places.state)


def _tell(text: str, was_running: bool, killed: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"was_running": was_running, "is_running": False, "killed": list(killed)})
        return
    rest = f"killed what was left of {', '.join(killed)}" if killed else "nothing is left running"
    print(f"{text}; {rest}")
