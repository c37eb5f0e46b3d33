"""`resile repair`: mend a damaged store."""

import contextlib
from typing import Any

import click

from resile.cli.output import clean, print_json, print_table, say
from resile.cli.store_story import record, repaired, stopwatch
from resile.cli.stores import (
    ID_DIGITS,
    PARTIAL_CODE,
    Progress,
    StoreOptions,
    opened,
    replica_of,
    say_unread,
    shown,
    snapshot_data,
    store_options,
)
from resile.errors import StoreDamagedError
from resile.store import Repaired, open_backend, repair

_SHOWN_MAX = 20


@click.command()
@click.option(
    "--from",
    "places",
    multiple=True,
    metavar="PLACE",
    help="A second store; repeatable, the best first. Default: the replica of resile.toml.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@store_options
def command(places: tuple[str, ...], options: StoreOptions, *, dry_run: bool, as_json: bool) -> int:
    """Find what is wrong with a store and mend it. Nothing is deleted: damage goes to quarantine.

    The good copy comes from a second store; else from what is still good of a pack and from the live
    folders. Exit code 8: something is lost; 3: nothing is, but some live files could not be read.
    """
    if not places:
        places = tuple(filter(None, [replica_of(options)]))
    replicas = [open_backend(place) for place in places]
    with (
        opened(options, replicas=None if dry_run else replicas) as store,
        contextlib.closing(Progress("verifying")) as progress,
    ):
        with stopwatch() as took:
            done = repair(store, replicas=replicas, is_dry=dry_run, on_progress=progress)
        if not dry_run:
            record(options, store, *repaired(store, done, took_s=took[0]))
    if as_json:
        print_json(_data(done, is_dry=dry_run))
        return _code(done)
    _print(done, is_dry=dry_run)
    return _code(done)


def _code(done: Repaired) -> int:
    if not done.is_whole:
        return StoreDamagedError.exit_code
    return PARTIAL_CODE if any(one.unread for one in done.live) else 0


def _print(done: Repaired, *, is_dry: bool) -> None:
    """Tell what became of it.

    Raises:
        StoreDamagedError: If something is lost.
    """
    after = done.after
    if not done.before.flaws:
        print("nothing is wrong")
        return
    rows = [[one.name[:24], one.origin.value, one.detail] for one in done.mended]
    print_table(["file", "would come from" if is_dry else "mended from", "detail"], rows)
    for snapshot in done.live:
        say_unread(snapshot)
    for path in (after.affected if after else ())[:_SHOWN_MAX]:
        say(clean(f"lost: {path.snapshot[:ID_DIGITS]} {shown(path.path) or '.'}"))
    if after is not None and not after.is_sound:
        raise StoreDamagedError(
            f"{len(after.flaws):,} things are still wrong",
            hint="what is lost is listed by `resile verify`; the damaged files are in quarantine",
        )
    if not done.is_whole:
        raise StoreDamagedError(
            "for some files there is no good copy anywhere",
            hint="they are in quarantine; name a second store: resile repair --from PLACE",
        )
    if after is not None:
        print("everything is mended, and verified again")


def _data(done: Repaired, *, is_dry: bool) -> dict[str, Any]:
    after = done.after
    return {
        "is_dry": is_dry,
        "flaws_before": len(done.before.flaws),
        "flaws_after": None if after is None else len(after.flaws),
        "mended": [
            {"name": one.name, "from": one.origin.value, "detail": one.detail}
            for one in done.mended
        ],
        "lost": [
            {"snapshot": one.snapshot, "path": shown(one.path)}
            for one in (after.affected if after else ())
        ],
        "live": [snapshot_data(one) for one in done.live],
    }
