"""`resile commit`: put what a run changed into its workspaces."""

from pathlib import Path

import click

from resile.cli.contained import count_of, open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.who import operator
from resile.contain import commit_run


@click.command()
@click.argument("run_id", metavar="ID")
@click.argument("paths", nargs=-1)
@config_option
@json_option
def command(run_id: str, paths: tuple[str, ...], config: Path | None, *, as_json: bool) -> None:
    """Commit the changes of the run ID, all of them or those at and below PATHS.

    All or nothing, also when the power goes in the middle. Exit code 7 if somebody else changed
    the same files since the run began: nothing is committed then, and nothing lost.

    An ID may be shortened; `last` is the newest open run.
    """
    host = open_host(config)
    record = host.runs.find(run_id)
    count = commit_run(host, record, paths=paths, who=operator())
    if as_json:
        print_json({"run_id": record.run_id, "committed": count})
    else:
        print(f"{record.run_id}: {count_of(count)} committed")
