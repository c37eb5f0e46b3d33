"""`resile restart`: stop services and start them again, all of them one after the other."""

from pathlib import Path

import click

from resile.cli.api import Api
from resile.cli.operate import operate
from resile.cli.options import config_option, json_option, wait_options
from resile.cli.places import find_places
from resile.core.vocabulary import Verb
from resile.errors import ConfigError


@click.command()
@click.argument("services", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Restart every service, one after the other.")
@wait_options
@config_option
@json_option
def command(
    services: tuple[str, ...],
    config: Path | None,
    *,
    is_all: bool,
    timeout_s: float,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Restart SERVICES, and wait until their new processes are ready."""
    if is_all == bool(services):
        raise ConfigError(
            "name the services to restart, or say --all", hint="not both, not neither"
        )
    api = Api(find_places(config))
    operate(api, Verb.RESTART, services, timeout_s=None if no_wait else timeout_s, as_json=as_json)
