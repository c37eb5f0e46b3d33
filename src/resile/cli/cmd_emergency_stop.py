"""`resile emergency-stop`: end at once what resile does, and keep it so until a person ends that."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, say
from resile.cli.switching import Home, find_home, lines_of, overview
from resile.cli.who import operator
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import EmergencyBegun
from resile.core.switches import Emergency, Switches, emergency_hint
from resile.errors import ConfigError, DaemonUnreachableError, OperationError, RejectedError

ASK_S = 2.0
"""A brain journals within milliseconds; one that takes longer is passed by."""
PATIENCE_S = 0.5
"""For a brain that starts. An emergency does not wait."""
DONE_S = 15.0
"""The brain kills and undoes side by side; what takes longer hangs in the kernel."""
_POLL_S = 0.02


@click.command()
@click.option(
    "--stop-services/--keep-services",
    "is_stopping",
    default=None,
    help="Stop all services, too, or let them run. Asked where it is not said.",
)
@click.option("--why", default="", metavar="TEXT", help="For whoever wonders. Required.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@config_option
@json_option
def command(
    config: Path | None, *, is_stopping: bool | None, why: str, is_sure: bool, as_json: bool
) -> None:
    """Freeze all remedies, kill every contained run and hold new ones, end all faults on purpose.

    It holds until a person ends it: `resile enable recovery chaos` and `resile resume`. It works
    without a daemon, and with one that hangs. Saying it again does it again.
    """
    home = find_home(config)
    stopping = _asked(is_stopping, why, is_sure=is_sure, as_json=as_json)
    begun = EmergencyBegun(is_stopping_services=stopping, why=why, who=operator())
    found = _stop(home, begun)
    if as_json:
        print_json(found)
    else:
        for line in lines_of(found):
            print(line)
        print(emergency_hint(is_stopping_services=stopping))
    _judge(found)


def _asked(is_stopping: bool | None, why: str, *, is_sure: bool, as_json: bool) -> bool:
    """Ask what was not said; give whether services are stopped.

    Raises:
        ConfigError: If something is missing, and nobody can be asked; all of it is told.
        RejectedError: If a person says no.
    """
    can_ask = sys.stdin.isatty() and not as_json
    problems = [] if why.strip() else ["nobody says why: say --why TEXT"]
    if is_stopping is None and not can_ask:
        problems.append("services: say --stop-services or --keep-services")
    if not is_sure and not can_ask:
        problems.append("nobody can be asked whether it is meant: say --yes")
    if problems:
        raise ConfigError("nothing was stopped", problems=tuple(problems))
    if is_stopping is None:
        is_stopping = click.confirm("Stop all services, too?", default=False, err=True)
    what = "services are stopped" if is_stopping else "services go on"
    asked = f"Kill every contained run, end faults on purpose, freeze remedies; {what}?"
    if not is_sure and not click.confirm(asked, err=True):
        raise RejectedError("nothing was stopped", hint="say --yes to do it")
    return is_stopping


def _stop(home: Home, begun: EmergencyBegun) -> Mapping[str, Any]:
    """Have the daemon do it; do it here where it does not."""
    body = {
        "is_stopping_services": begun.is_stopping_services,
        "why": begun.why,
        "who": begun.who,
    }
    try:
        api = home.api(timeout_s=ASK_S, patience_s=PATIENCE_S)
        api.post("/api/emergency-stop", body)
        return _wait(api, clock=SYSTEM_CLOCK)
    except (DaemonUnreachableError, OperationError) as exc:
        if home.places is not None:
            say(f"resile: {exc.message}: it is done without the daemon")
        return _stop_here(home, begun)


def _wait(api: Api, *, clock: Clock) -> Mapping[str, Any]:
    """Wait until the daemon has carried it out; give how it stands."""
    deadline_s = clock.monotonic() + DONE_S
    while True:
        status = api.get("/api/status")
        stop = status["emergency"]
        if stop is None or stop["is_carried_out"] or clock.monotonic() >= deadline_s:
            return {key: status[key] for key in ("switches", "emergency")}
        clock.sleep(_POLL_S)


def _stop_here(home: Home, begun: EmergencyBegun) -> Mapping[str, Any]:
    """Journal the intent, tell other processes, and do it; services are the daemon's."""
    from resile.chaos import Story
    from resile.contain import runs_folder
    from resile.daemon.emergency import carry_out

    stop = _begin(home, begun)
    state = home.states[0]
    with contextlib.closing(Story(state / "journal", clock=SYSTEM_CLOCK, actor="cli")) as story:
        told: list[Any] = []
        done = carry_out(
            stop,
            state=state,
            root=home.root,
            runs=runs_folder(os.environ),
            tell=told.append,
            clock=SYSTEM_CLOCK,
        )
        for payload in told:
            story.tell(payload)
    if begun.is_stopping_services and home.places is not None:
        say("services are stopped as soon as a brain answers; `resile down` ends them with it")
    try:
        return overview(home.note([done]))
    except OperationError as exc:
        left = replace(done, problems=(*done.problems, exc.message))
        return overview(Switches().apply(begun, stop.at).apply(left, SYSTEM_CLOCK.now()))


def _begin(home: Home, begun: EmergencyBegun) -> Emergency:
    """Note that it is begun. Where that cannot be written it is carried out all the same."""
    with contextlib.suppress(OperationError):
        if stop := home.note([begun]).emergency:
            return stop
    return Emergency(
        at=SYSTEM_CLOCK.now(),
        who=begun.who,
        why=begun.why,
        is_stopping_services=begun.is_stopping_services,
    )


def _judge(found: Mapping[str, Any]) -> None:
    """Fail if something goes on.

    Raises:
        OperationError: If so.
    """
    stop = found["emergency"]
    if stop is None:
        raise OperationError(
            "somebody ended the emergency stop meanwhile", hint="see who: `resile events`"
        )
    if not stop["is_carried_out"]:
        raise OperationError(
            f"not carried out within {DONE_S:g} s", hint="it goes on; look with `resile switches`"
        )
    if stop["problems"]:
        raise OperationError(
            f"{len(stop['problems'])} things could not be done: {stop['problems'][0]}",
            hint="say `resile emergency-stop` again; `resile runs` and `resile chaos status` show what is left",
        )
