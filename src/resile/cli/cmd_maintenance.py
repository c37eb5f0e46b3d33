"""`resile maintenance`: say that somebody works on a target, so that recovery leaves it alone."""

from pathlib import Path

import click

from resile.cli.api import Api
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json, say
from resile.cli.places import find_places
from resile.cli.targets import full_target
from resile.cli.who import operator


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.argument("target")
@click.option("--for", "for_s", type=duration, help="It ends by itself after so long: 30m, 2h.")
@click.option("--why", default="", help="For whoever reads it.")
@config_option
@json_option
def command(
    switch: str, target: str, config: Path | None, *, for_s: float | None, why: str, as_json: bool
) -> None:
    """Begin (on) or end (off) work on TARGET, the name of a service or of a check.

    While it lasts the target's state is MAINTENANCE, nothing of it is restarted, and no fault or
    incident of it opens. What is wrong when it ends is a fault at once.
    """
    api = Api(find_places(config))
    full = full_target(api, target)
    body = {"target": full, "is_on": switch == "on", "why": why, "who": operator()}
    if for_s is not None:
        body["for_s"] = for_s
    answer = api.post("/api/maintenance", body)
    if as_json:
        print_json(answer)
    else:
        say(f"{target} is in maintenance" if switch == "on" else f"{target} is watched again")
