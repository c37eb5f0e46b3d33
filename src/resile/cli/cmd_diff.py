"""`resile diff`: what a run would change, if it were committed; or how two snapshots differ."""

from pathlib import Path
from typing import Any

import click

from resile.cli.output import print_json, print_styled
from resile.cli.stores import StoreOptions, opened, shown, store_options

TEXT_BYTES_MAX = 256 << 10
"""Above it nobody reads, and comparing takes time that grows with its square."""
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_SIGNS = {"created": "+", "deleted": "-", "modified": "~", "metadata": "m", "replaced": "!"}


@click.command()
@click.argument("first", metavar="ID")
@click.argument("second", metavar="[ID]", required=False)
@click.option("--stat", is_flag=True, help="Only the paths.")
@store_options
def command(
    first: str, second: str | None, options: StoreOptions, *, stat: bool, as_json: bool
) -> None:
    """Show what the run ID would change, or how two snapshots differ: unified diffs of texts.

    + created, - deleted, ~ modified, m only metadata, ! replaced by another kind of file.

    An ID may be shortened; of runs, `last` is the newest open one, of snapshots, `latest` the newest.
    """
    if second is None:
        _diff_run(first, options.config, is_short=stat, as_json=as_json)
    else:
        _diff_snapshots(first, second, options, is_short=stat, as_json=as_json)


def _diff_run(run_id: str, config: Path | None, *, is_short: bool, as_json: bool) -> None:
    from resile.cli.contained import change_line, diff_data, open_host
    from resile.contain import diff_of, diff_text

    host = open_host(config)
    transaction, diffs = diff_of(host, host.runs.find(run_id))
    if as_json:
        data = [diff_data(diff) for diff in diffs]
        for written, diff in zip(data, diffs, strict=True):
            for change, entry in zip(diff.changes, written["changes"], strict=True):
                entry["diff"] = diff_text(
                    transaction, diff.workspace, change, bytes_max=TEXT_BYTES_MAX
                )
        print_json({"workspaces": data})
        return
    for diff in diffs:
        print_styled(f"{diff.workspace}:", "bold")
        for change in diff.changes:
            print_styled(change_line(change), "bold")
            if not is_short:
                _print_lines(
                    diff_text(transaction, diff.workspace, change, bytes_max=TEXT_BYTES_MAX)
                )


def _diff_snapshots(
    first: str, second: str, options: StoreOptions, *, is_short: bool, as_json: bool
) -> None:
    from resile.store import compare, text_diff

    with opened(options) as store:
        before, after = store.find(first), store.find(second)
        changes: list[dict[str, Any]] = []
        for change in compare(store, before.root, after.root):
            text = "" if is_short else text_diff(store, change)
            if as_json:
                changes.append(
                    {"path": shown(change.path), "kind": change.kind.value, "diff": text}
                )
            else:
                print_styled(f"{_SIGNS[change.kind.value]} {shown(change.path)}", "bold")
                _print_lines(text)
    if as_json:
        print_json({"before": before.snapshot_id, "after": after.snapshot_id, "changes": changes})


def _print_lines(text: str) -> None:
    for line in text.splitlines():
        print_styled(line, _COLOURS.get(line[:1], ""))
