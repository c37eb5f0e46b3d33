"""`resile discard`: undo what a run changed."""

from pathlib import Path

import click

from resile.cli.contained import count_of, open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.who import operator
from resile.contain import discard_run


@click.command()
@click.argument("run_id", metavar="ID")
@config_option
@json_option
def command(run_id: str, config: Path | None, *, as_json: bool) -> None:
    """Throw away the changes of the run ID: its workspaces stay as they are.

    An ID may be shortened; `last` is the newest open run.
    """
    host = open_host(config)
    record = host.runs.find(run_id)
    discard_run(host, record, who=operator())
    if as_json:
        print_json({"run_id": record.run_id, "discarded": record.changes})
    else:
        print(f"{record.run_id}: {count_of(record.changes)} discarded")
