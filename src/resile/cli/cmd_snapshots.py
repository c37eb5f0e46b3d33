"""`resile snapshots`: list what is kept."""

import click

from resile.cli.output import print_json, print_table
from resile.cli.stores import (
    ID_DIGITS,
    StoreOptions,
    local_time,
    opened,
    snapshot_data,
    store_options,
)
from resile.core.units import format_size
from resile.store import protected


@click.command()
@click.option("--tag", metavar="TAG", help="Only those with this tag.")
@click.option("--source", metavar="DIR", help="Only those of this folder.")
@store_options
def command(tag: str | None, source: str | None, options: StoreOptions, *, as_json: bool) -> None:
    """List the snapshots, oldest first."""
    with opened(options) as store:
        kept = protected(store)
        found = [
            one
            for one in store.snapshots()
            if (tag is None or tag in one.tags) and (source is None or one.source == source)
        ]
    if as_json:
        data = [snapshot_data(one) | {"protected": one.snapshot_id in kept} for one in found]
        print_json({"snapshots": data})
        return
    if not found:
        print("there is no snapshot yet: resile snapshot DIR")
        return
    rows = [
        [
            one.snapshot_id[:ID_DIGITS],
            local_time(one.started_at),
            f"{one.counts.files:,}",
            format_size(one.counts.bytes),
            format_size(one.counts.stored_bytes),
            " ".join((*one.tags, *(("protected",) if one.snapshot_id in kept else ()))),
            one.source + (f" ({len(one.unread)} not read)" if one.unread else ""),
        ]
        for one in found
    ]
    print_table(["id", "taken", "files", "size", "stored", "tags", "source"], rows)
