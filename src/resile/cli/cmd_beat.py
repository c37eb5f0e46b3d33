"""`resile beat`: send a heartbeat."""

from pathlib import Path
from urllib.parse import quote

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.places import find_places


@click.command()
@click.argument("check")
@config_option
@json_option
def command(check: str, config: Path | None, *, as_json: bool) -> None:
    """Send a heartbeat to CHECK, a `[check.NAME]` with `heartbeat`. Put it behind a job in cron."""
    answer = Api(find_places(config)).post(f"/api/checks/{quote(check, safe='')}/beat")
    if as_json:
        print_json(answer)
