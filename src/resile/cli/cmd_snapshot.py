"""`resile snapshot`: keep a folder as it is now."""

import contextlib
from dataclasses import asdict
from pathlib import Path

import click

from resile.cli.asking import ask_keeper
from resile.cli.changes import keep_log, shorten_log
from resile.cli.output import print_json
from resile.cli.stores import (
    ID_DIGITS,
    PARTIAL_CODE,
    Progress,
    StoreOptions,
    opened,
    say_unread,
    snapshot_data,
    store_options,
    wants_parity,
)
from resile.core.units import format_size
from resile.errors import ConfigError
from resile.store import Rules, Taken, add_parity, take_snapshot


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="What to call it; repeatable.")
@click.option(
    "--exclude",
    "excludes",
    multiple=True,
    metavar="GLOB",
    help="Leave out: `*.tmp` (any name), `build/*` (a path in DIR); repeatable.",
)
@click.option("--one-file-system", is_flag=True, help="Stay on the file system of DIR.")
@click.option(
    "--parity", is_flag=True, help="Give packs parity: mends them where there is no second store."
)
@store_options
def command(
    folder: Path,
    tags: tuple[str, ...],
    excludes: tuple[str, ...],
    options: StoreOptions,
    *,
    one_file_system: bool,
    parity: bool,
    as_json: bool,
) -> int:
    """Take a snapshot of DIR (default: this folder), and make the store if there is none.

    Files with the same size, times, inode and owner as before are not read again. Exit code 3: some
    files could not be read; everything else was taken. Where the daemon keeps DIR, it takes the snapshot,
    with what its `[snapshot.NAME]` leaves out and calls it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder that can be read", hint="give a folder")
    rules = _rules(folder, excludes, one_file_system=one_file_system)
    keep_log(options, folder)
    is_plain = not (excludes or one_file_system or parity)
    asked = ask_keeper(options, folder, tags) if is_plain else None
    with opened(options, is_made=True) as store:
        if asked is not None:
            taken = asked.in_store(store)
        else:
            with contextlib.closing(Progress("reading")) as progress:
                taken = take_snapshot(store, folder, tags=tags, rules=rules, on_progress=progress)
        shorten_log(options, folder, store)
        if parity or wants_parity(options):
            add_parity(store)
    if as_json:
        data = snapshot_data(taken.snapshot)
        print_json(data | {"is_changed": taken.is_changed, "why": asdict(taken.why)})
    else:
        _print(taken)
    return PARTIAL_CODE if taken.snapshot.unread else 0


def _rules(folder: Path, excludes: tuple[str, ...], *, one_file_system: bool) -> Rules:
    return Rules(excludes=excludes, device=folder.stat().st_dev if one_file_system else None)


def _print(taken: Taken) -> None:
    snapshot, why = taken.snapshot, taken.why
    counts = snapshot.counts
    print(f"snapshot {snapshot.snapshot_id[:ID_DIGITS]} of {snapshot.source}")
    print(f"  {counts.files:,} files in {counts.folders:,} folders, {format_size(counts.bytes)}")
    if taken.is_changed:
        print(
            f"  {format_size(counts.new_bytes)} new, {format_size(counts.stored_bytes)} stored;"
            f" read: {why.new:,} new, {why.changed:,} changed"
            + (f", {why.touched:,} with another ctime only" if why.touched else "")
            + (f", {why.recent:,} too young to be told apart" if why.recent else "")
        )
    else:
        print("  nothing changed since the one before")
    say_unread(snapshot)
