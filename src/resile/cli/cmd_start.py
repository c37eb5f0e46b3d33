"""`resile start`: start services, also out of quarantine."""

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
    """Start SERVICES, also out of quarantine, and wait until they are ready."""
    api = Api(find_places(config))
    operate(api, Verb.START, services, timeout_s=None if no_wait else timeout_s, as_json=as_json)
