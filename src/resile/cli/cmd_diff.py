"""`resile diff`: what a run would change, if it were committed."""

from pathlib import Path

import click

from resile.cli.contained import change_line, diff_data, open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_styled
from resile.contain import diff_of, diff_text

TEXT_BYTES_MAX = 256 << 10
"""Above it nobody reads, and comparing takes time that grows with its square."""
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--stat", is_flag=True, help="Only the paths.")
@config_option
@json_option
def command(run_id: str, config: Path | None, *, stat: bool, as_json: bool) -> None:
    """Show what the run ID would change: unified diffs of texts, one line for everything else.

    + created, - deleted, ~ modified, m only metadata, ! replaced by another kind of file.

    An ID may be shortened; `last` is the newest open run.
    """
    host = open_host(config)
    transaction, diffs = diff_of(host, host.runs.find(run_id))
    if as_json:
        data = [diff_data(diff) for diff in diffs]
        for shown, diff in zip(data, diffs, strict=True):
            for change, entry in zip(diff.changes, shown["changes"], strict=True):
                entry["diff"] = diff_text(
                    transaction, diff.workspace, change, bytes_max=TEXT_BYTES_MAX
                )
        print_json({"workspaces": data})
        return
    for diff in diffs:
        print_styled(f"{diff.workspace}:", "bold")
        for change in diff.changes:
            print_styled(change_line(change), "bold")
            if not stat:
                text = diff_text(transaction, diff.workspace, change, bytes_max=TEXT_BYTES_MAX)
                for line in text.splitlines():
                    print_styled(line, _COLOURS.get(line[:1], ""))
