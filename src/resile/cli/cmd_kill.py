"""`resile kill`: the kill switch for contained runs."""

from pathlib import Path

import click

from resile.cli.contained import open_host
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json
from resile.cli.who import operator
from resile.contain import RunRecord, Runs, kill_run
from resile.core.vocabulary import RunState
from resile.errors import ConfigError, OperationError, ResileError


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--all", "is_all", is_flag=True, help="Every run of this user: the emergency shutdown."
)
@click.option(
    "--grace", "grace_s", type=duration, default="0s", help="Ask first, and wait so long."
)
@config_option
@json_option
def command(
    ids: tuple[str, ...], config: Path | None, *, is_all: bool, grace_s: float, as_json: bool
) -> None:
    """Kill runs by ID, with everything that they started; what they changed is undone.

    An ID may be shortened; `last` is the newest that is at work. Done when nothing of them lives.
    """
    if bool(ids) == is_all:
        raise ConfigError("name the runs, or say --all", hint="`resile runs` lists them")
    runs = open_host(config).runs
    records = list(runs.records()) if is_all else [_running(runs, prefix) for prefix in ids]
    killed, problems = [], []
    for record in records:
        try:
            killed += [record] if kill_run(runs, record, who=operator(), grace_s=grace_s) else []
        except ResileError as exc:  # The others are killed all the same.
            problems.append(f"{record.run_id}: {exc.message}")
    if as_json:
        print_json({"killed": [record.run_id for record in killed], "problems": problems})
    for record in () if as_json else killed:
        print(f"{record.run_id}: killed")
    if not killed and not problems and not as_json:
        print("nothing was running")
    if problems:
        raise OperationError("; ".join(problems), hint="`resile runs` lists what is left")


def _running(runs: Runs, prefix: str) -> RunRecord:
    """Find a run; `last` is the newest that runs."""
    if prefix == "last":
        states = (RunState.STARTING, RunState.RUNNING)
        found = [record for record in runs.records() if record.state in states]
        if found:
            return found[-1]
    return runs.find(prefix)
