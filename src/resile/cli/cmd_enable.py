"""`resile enable`: switch on again what was switched off."""

import os
from pathlib import Path

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.switching import find_home, lines_of, switch
from resile.contain import Runs, held, runs_folder
from resile.core.switches import emergency_hint


@click.command()
@click.argument("parts", nargs=-1, required=True, metavar="PART...")
@click.option("--why", default="", metavar="TEXT", help="For whoever reads it later.")
@config_option
@json_option
def command(parts: tuple[str, ...], config: Path | None, *, why: str, as_json: bool) -> None:
    """Switch each PART on again: as in `resile disable`, or playbook/NAME.

    An emergency stop is over when both recovery and chaos are on again.
    """
    found = switch(find_home(config), parts, is_on=True, why=why)
    if as_json:
        print_json(found)
        return
    for word in parts:
        print(f"{word} is on")
    if stop := found["emergency"]:
        hint = emergency_hint(is_stopping_services=stop["is_stopping_services"])
        print(f"the emergency stop holds still: {hint}")
    for line in lines_of(found):
        print(line)
    if held(Runs(runs_folder(os.environ))) is not None:
        print("new contained runs are held still: `resile resume` lets them begin")
