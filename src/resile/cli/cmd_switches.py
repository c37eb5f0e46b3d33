"""`resile switches`: show what is switched off."""

import os
from pathlib import Path

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_table, say
from resile.cli.switching import find_home, left_of, lines_of, now_off
from resile.contain import Runs, held, runs_folder
from resile.core.codec import encode
from resile.core.switches import emergency_hint

_HEADS = ("off", "left", "by", "because")


@click.command()
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Show what is switched off, for how long, by whom and why."""
    found, is_daemons = now_off(find_home(config))
    hold = held(Runs(runs_folder(os.environ)))
    if as_json:
        print_json({**found, "runs_held": encode(hold) if hold else None})
        return
    if not is_daemons:
        say("no daemon answers: this is what was written for other processes")
    for line in lines_of(found):
        print(line)
    if stop := found["emergency"]:
        print(emergency_hint(is_stopping_services=stop["is_stopping_services"]))
    if found["switches"]:
        rows = [
            (off["word"], left_of(off["until"]), off["who"] or "somebody", off["why"])
            for off in found["switches"]
        ]
        print_table(_HEADS, rows)
    else:
        print("nothing is switched off")
    if hold is not None:
        why = f": {hold.why}" if hold.why else ""
        print(f"new contained runs are held by {hold.who}{why}; `resile resume` lets them begin")
