"""`resile repair`: mend a damaged store."""

import contextlib

import click

from resile.cli.output import clean, print_json, print_table, say
from resile.cli.store_story import record, repaired, stopwatch
from resile.cli.stores import (
    ID_DIGITS,
    Progress,
    StoreOptions,
    opened,
    replica_of,
    shown,
    store_options,
)
from resile.errors import StoreDamagedError
from resile.store import open_backend, repair

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
    folders. Exit code 8: something is lost.
    """
    if not places:
        places = tuple(filter(None, [replica_of(options)]))
    replicas = [open_backend(place) for place in places]
    with (
        opened(options, replicas=() if dry_run else replicas) as store,
        contextlib.closing(Progress("verifying")) as progress,
    ):
        with stopwatch() as took:
            done = repair(store, replicas=replicas, is_dry=dry_run, on_progress=progress)
        if not dry_run:
            record(options, store, *repaired(store, done, took_s=took[0]))
    after = done.after
    if as_json:
        print_json(
            {
                "is_dry": dry_run,
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
            }
        )
        return 0 if done.is_whole else StoreDamagedError.exit_code
    if not done.before.flaws:
        print("nothing is wrong")
        return 0
    rows = [[one.name[:24], one.origin.value, one.detail] for one in done.mended]
    print_table(["file", "would come from" if dry_run else "mended from", "detail"], rows)
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
    return 0
