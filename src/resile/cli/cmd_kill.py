"""`resile kill`: the kill switch for contained runs."""

from pathlib import Path

import click

from resile.cli.contained import open_host
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json
from resile.cli.who import operator
from resile.contain import kill_run
from resile.errors import ConfigError


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

    An ID may be shortened; `last` is the newest. Done when nothing of them lives.
    """
    if bool(ids) == is_all:
        raise ConfigError("name the runs, or say --all", hint="`resile runs` lists them")
    runs = open_host(config).runs
    records = list(runs.records()) if is_all else [runs.find(prefix) for prefix in ids]
    killed = [r for r in records if kill_run(runs, r, who=operator(), grace_s=grace_s)]
    if as_json:
        print_json({"killed": [record.run_id for record in killed]})
        return
    for record in killed:
        print(f"{record.run_id}: killed")
    if not killed:
        print("nothing was running")
