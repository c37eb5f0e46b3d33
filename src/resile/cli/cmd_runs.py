"""`resile runs`: contained runs that are open: those that run, and those whose changes wait."""

from pathlib import Path

import click

from resile.cli.contained import open_host, record_data
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_table
from resile.core.clock import SYSTEM_CLOCK
from resile.core.units import format_duration


@click.command()
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """List open runs: those that run, and those whose changes wait for a commit or a discard.

    The story of those that are closed is in the journal: `resile events --kind "run.*"`.
    """
    runs = open_host(config).runs
    records = list(runs.records())
    if as_json:
        print_json({"runs": [record_data(r, runs.live(r.run_id)) for r in records]})
        return
    if not records:
        print("no run is open")
        return
    now = SYSTEM_CLOCK.now()
    print_table(
        ("run", "state", "since", "changes", "command"),
        [
            (
                record.run_id,
                "lost: see `resile recover`" if record.is_orphan else record.state,
                format_duration((now - record.began_at).total_seconds()),
                str(record.changes or ""),
                " ".join(record.command)[:80],
            )
            for record in records
        ],
    )
