"""`resile recover`: finish or undo what a crash left of contained runs."""

import contextlib
from dataclasses import asdict
from pathlib import Path

import click

from resile.cli.contained import open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.contain import recover_runs
from resile.errors import OperationError


@click.command()
@click.option("--undo", is_flag=True, help="Undo half a commit instead of finishing it.")
@config_option
@json_option
def command(config: Path | None, *, undo: bool, as_json: bool) -> None:
    """Bring runs to an end whose supervisor died, or whose commit was cut.

    Their processes are killed; a commit that was decided is finished, everything else is undone.
    The daemon does the same by itself.
    """
    with contextlib.closing(open_host(config)) as host:
        done = recover_runs(host, undo=undo)
    if as_json:
        print_json({"recovered": [asdict(item) for item in done]})
    else:
        for item in done:
            print(f"{item.run_id}: {item.did}: {item.detail}")
        if not done:
            print("nothing was left to recover")
    failed = [item.run_id for item in done if item.did == "failed"]
    if failed:
        raise OperationError(
            f"{', '.join(failed)} could not be recovered",
            hint="mend what hinders, then run `resile recover` again; nothing is lost meanwhile",
        )
