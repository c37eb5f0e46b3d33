"""`resile resume`: let contained runs begin again."""

import contextlib
from pathlib import Path

import click

from resile.cli.contained import open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.who import operator
from resile.contain import held, resume_runs
from resile.core.events import RunsResumed, announce
from resile.core.switch_file import read_switches
from resile.core.switches import FROZEN
from resile.errors import OperationError


@click.command()
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Let contained runs begin again after `resile kill --all --hold`, or an emergency stop.

    Nothing that was killed is started again.
    """
    host = open_host(config)
    was_held = held(host.runs) is not None
    if was_held:
        resumed = RunsResumed(who=operator())
        host.journal.append(announce(resumed, at=host.clock.now(), actor="cli"))
        resume_runs(host.runs)
    if as_json:
        print_json({"was_held": was_held})
        return
    print("runs may begin again" if was_held else "runs were not held")
    with contextlib.suppress(OperationError):
        if read_switches(host.journal_folder.parent).emergency is not None:
            print(f"the emergency stop holds still: `resile enable {' '.join(FROZEN)}` ends it")
