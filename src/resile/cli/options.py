"""What the subcommands' options have in common, and how their values are read."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from resile.core.clock import SYSTEM_CLOCK
from resile.core.units import parse_duration

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, errors included."
)

config_option: Decorator = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The configuration. Default: the nearest resile.toml from this folder upwards.",
)


def duration(text: str) -> float:
    """Read a duration such as `30s`; give seconds.

    Raises:
        click.BadParameter: If it is none.
    """
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def time(text: str) -> datetime:
    """Read a time: ISO 8601, or a duration ago such as `10m`; give it aware.

    Raises:
        click.BadParameter: If it is neither.
    """
    try:
        return SYSTEM_CLOCK.now() - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.BadParameter(
            f'{text!r} is no time; write "10m" or "2026-01-31T12:00:00"'
        ) from None


def wait_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --timeout and --no-wait."""
    timeout: Decorator = click.option(
        "--timeout",
        "timeout_s",
        type=duration,
        default="60s",
        show_default=True,
        help="How long to wait until it is done.",
    )
    no_wait: Decorator = click.option(
        "--no-wait", is_flag=True, help="Return when the request is in the journal."
    )
    return timeout(no_wait(function))
