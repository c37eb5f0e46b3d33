"""`resile stop`: stop services and keep them stopped."""

from pathlib import Path

import click

from resile.cli.api import Api
from resile.cli.operate import operate
from resile.cli.options import config_option, json_option, wait_options
from resile.cli.places import find_places
from resile.core.vocabulary import Verb


@click.command()
@click.argument("services", nargs=-1, required=True)
@wait_options
@config_option
@json_option
def command(
    services: tuple[str, ...],
    config: Path | None,
    *,
    timeout_s: float,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Stop SERVICES and keep them stopped; wait until nothing of them is left."""
    api = Api(find_places(config))
    operate(api, Verb.STOP, services, timeout_s=None if no_wait else timeout_s, as_json=as_json)
