"""`resile dashboard`: the link to the dashboard, with the token that lets its page decide."""

from pathlib import Path

import click

from resile.cli.api import Api
from resile.cli.cmd_up import dashboard_url
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.places import find_places
from resile.errors import OperationError

_TOKEN_NAME = "token"  # noqa: S105 - the file's name
_TOKEN_LENGTH_MAX = 200


@click.command()
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Print a link that opens the dashboard with the right to commit, discard and kill runs.

    Whoever has the link has the right, until the daemon ends. The token stands behind the #,
    which browsers send nowhere.
    """
    places = find_places(config)
    address = Api(places).get("/api/status").get("http")
    if not address:
        raise OperationError(
            "the dashboard's port is taken by another program",
            hint="end that program (`ss -ltnp` names it), or set [resile] http = { port = ... }",
        )
    url = f"{dashboard_url(address['host'], address['port'])}runs#token={_read_token(places.run)}"
    if as_json:
        print_json({"url": url})
    else:
        print(url)


def _read_token(run: Path) -> str:
    path = run / _TOKEN_NAME
    try:
        with path.open("rb") as file:
            return file.read(_TOKEN_LENGTH_MAX).decode("ascii", errors="replace").strip()
    except OSError as exc:
        raise OperationError(
            f"the token cannot be read: {path}: {exc.strerror}",
            hint="run the command as the user who started the daemon; a new start writes it anew",
        ) from exc
