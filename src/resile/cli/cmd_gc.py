"""`resile gc`: free what no snapshot needs."""

import contextlib
from dataclasses import asdict

import click

from resile.cli.options import duration
from resile.cli.output import print_json
from resile.cli.store_story import record
from resile.cli.stores import Progress, StoreOptions, opened, store_options
from resile.core.events import StoreCollected
from resile.core.units import format_size
from resile.store import GRACE_S, collect


@click.command()
@click.option(
    "--grace",
    "grace_s",
    type=duration,
    metavar="TIME",
    help="Between marking a pack and removing it. Default: 0s in a folder, 24h in a bucket.",
)
@click.option("--dry-run", is_flag=True, help="Only tell.")
@store_options
def command(grace_s: float | None, options: StoreOptions, *, dry_run: bool, as_json: bool) -> None:
    """Remove the packs that no snapshot needs, and write anew those that are mostly waste.

    A pack is marked first and removed after a grace time, if still nothing needs it.
    """
    with opened(options) as store:
        if grace_s is None:
            grace_s = GRACE_S if "://" in store.backend.url else 0.0
        with contextlib.closing(Progress("writing anew")) as progress:
            done = collect(store, grace_s=grace_s, is_dry=dry_run, on_progress=progress)
        if done.removed:
            record(
                options,
                store,
                StoreCollected(
                    place=store.backend.url,
                    removed=done.removed,
                    removed_bytes=done.removed_bytes,
                ),
            )
    if as_json:
        print_json(asdict(done))
        return
    plan = done.plan
    print(
        f"{len(plan.unneeded)} packs are needed by nothing, {len(plan.repacked)} are mostly waste;"
        f" {format_size(plan.free_bytes)} can be freed"
    )
    if not dry_run:
        print(
            f"marked {done.doomed}, removed {done.removed} ({format_size(done.removed_bytes)})"
            + (f", {done.spared} are needed again" if done.spared else "")
            + (f", cleared {done.left_over} half-written files" if done.left_over else "")
        )
