"""`resile changes`: what contained runs committed in a folder, from its log."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.moments import who_of
from resile.cli.options import config_option, json_option, time
from resile.cli.output import clean, print_json, say
from resile.cli.places import find_places
from resile.cli.stores import local_time
from resile.errors import ConfigError, StoreDamagedError
from resile.store import list_commits
from resile.store.transactions import REMOVALS, Committed, Noted

_SHOWN_MAX = 20


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@click.option("--since", type=time, metavar="TIME", help="Only those from then on.")
@click.option("--until", type=time, metavar="TIME", help="Only those up to then.")
@config_option
@json_option
def command(
    folder: Path,
    config: Path | None,
    *,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> int:
    """List what was committed in DIR (default: this folder) since its oldest snapshot.

    That is what `resile restore --at` can replay. A folder has a log if a table [snapshot.NAME] of
    resile.toml is about it. Exit code 8: the log is damaged; what is before that is listed.
    """
    found = list_commits(find_places(config).state, folder)
    if found.place is None:
        raise ConfigError(
            f"{folder} has no log of changes",
            hint="a table [snapshot.NAME] with this folder gives it one, from its next snapshot on",
        )
    chosen = [
        one
        for one in found
        if (since is None or one.committed_at >= since)
        and (until is None or one.committed_at <= until)
    ]
    if as_json:
        print_json({"commits": [_data(one) for one in chosen], "damage": found.damage})
    else:
        _print(chosen)
    if found.damage:
        say(f"the log ends here: {found.damage}")
        return StoreDamagedError.exit_code
    return 0


def _print(chosen: list[Committed]) -> None:
    for one in chosen:
        who = who_of(one.origin) or "a transaction"
        print(f"{local_time(one.committed_at)}  {who}  {one.transaction}")
        paths = _paths(one)
        for sign, path in paths[:_SHOWN_MAX]:
            print(f"  {sign} {clean(path)}")
        if len(paths) > _SHOWN_MAX:
            print(f"  and {len(paths) - _SHOWN_MAX:,} more: --json lists them")
    if not chosen:
        print("no changes")


def _data(commit: Committed) -> dict[str, Any]:
    return {
        "transaction": commit.transaction,
        "who": who_of(commit.origin),
        "committed_at": commit.committed_at.isoformat(),
        "paths": [{"path": path, "is_gone": sign == "-"} for sign, path in _paths(commit)],
    }


def _paths(commit: Committed) -> list[tuple[str, str]]:
    """Give what was put and what went; a path that was replaced is put."""
    found: dict[str, str] = {}
    for change in commit.changes:
        if isinstance(change, Noted):
            path = change.path.decode("utf-8", "backslashreplace") or "."
            is_gone = change.entry is None
        else:
            path, is_gone = change.path, change.kind in REMOVALS
        found[path] = "-" if is_gone else "+"
    return [(sign, path) for path, sign in sorted(found.items())]
