"""`resile kill`: the kill switch for contained runs."""

from collections.abc import Iterable
from pathlib import Path

import click

from resile.cli.contained import open_host
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json, say
from resile.cli.who import operator
from resile.contain import Hold, Host, RunRecord, Runs, hold_runs, kill_run
from resile.core.events import RunsHeld, announce
from resile.core.vocabulary import RunState
from resile.errors import ConfigError, OperationError, ResileError


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--all", "is_all", is_flag=True, help="Every run of this user: the emergency shutdown."
)
@click.option(
    "--hold", is_flag=True, help="With --all: refuse new runs as well, until `resile resume`."
)
@click.option("--why", default="", metavar="TEXT", help="With --hold: for whoever is refused.")
@click.option(
    "--grace", "grace_s", type=duration, default="0s", help="Ask first, and wait so long."
)
@config_option
@json_option
def command(
    ids: tuple[str, ...],
    config: Path | None,
    *,
    is_all: bool,
    hold: bool,
    why: str,
    grace_s: float,
    as_json: bool,
) -> None:
    """Kill runs by ID, with everything that they started; what they changed is undone.

    An ID may be shortened; `last` is the newest that is at work. Done when nothing of them lives.
    """
    _check(is_named=bool(ids), is_all=is_all, hold=hold, why=why)
    host = open_host(config)
    if hold:
        _hold(host, why)
    runs = host.runs
    records = list(runs.records()) if is_all else [_running(runs, prefix) for prefix in ids]
    killed, problems = _kill(runs, records, grace_s=grace_s)
    if as_json:
        print_json({"killed": killed, "problems": problems, "is_held": hold})
    else:
        for run_id in killed:
            print(f"{run_id}: killed")
        if not killed and not problems:
            print("nothing was running")
        if hold:
            print("new runs are refused until `resile resume`")
    if problems:
        raise OperationError("; ".join(problems), hint="`resile runs` lists what is left")


def _check(*, is_named: bool, is_all: bool, hold: bool, why: str) -> None:
    if is_named == is_all:
        raise ConfigError("name the runs, or say --all", hint="`resile runs` lists them")
    if hold and not is_all:
        raise ConfigError("--hold holds all runs", hint="say `resile kill --all --hold`")
    if why and not hold:
        raise ConfigError("--why is told to whom --hold refuses", hint="say --hold, too")


def _kill(
    runs: Runs, records: Iterable[RunRecord], *, grace_s: float
) -> tuple[list[str], list[str]]:
    """Kill runs; give the ids of those that lived, and what went wrong. One hinders no other."""
    killed, problems = [], []
    for record in records:
        try:
            if kill_run(runs, record, who=operator(), grace_s=grace_s):
                killed.append(record.run_id)
        except ResileError as exc:
            problems.append(f"{record.run_id}: {exc.message}")
    return killed, problems


def _hold(host: Host, why: str) -> None:
    """Refuse new runs first, then say so: an emergency does not wait for the journal."""
    hold_runs(host.runs, Hold(who=operator(), why=why, at=host.clock.now()))
    try:
        host.journal.append(
            announce(RunsHeld(who=operator(), why=why), at=host.clock.now(), actor="cli")
        )
    except ResileError as exc:
        say(f"resile: warning: the journal does not tell of it: {exc.message}")


def _running(runs: Runs, prefix: str) -> RunRecord:
    """Find a run; `last` is the newest that runs."""
    if prefix == "last":
        found = [record for record in runs.records() if record.state is RunState.RUNNING]
        if found:
            return found[-1]
    return runs.find(prefix)
