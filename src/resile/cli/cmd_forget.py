"""`resile forget`: let snapshots go, by rules or by name; protect those that must stay."""

from typing import Any

import click

from resile.cli.options import duration
from resile.cli.output import print_json, print_table
from resile.cli.store_story import record
from resile.cli.stores import (
    ID_DIGITS,
    StoreOptions,
    local_time,
    opened,
    snapshot_data,
    store_options,
)
from resile.core.events import SnapshotsForgotten
from resile.errors import ConfigError, RejectedError
from resile.store import (
    Keep,
    Kept,
    Repository,
    decide_kept,
    forget,
    protect,
    protected,
    unprotect,
)

_COUNTS = ("last", "hourly", "daily", "weekly")


def _read_keep(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> Keep:
    """Read `last=5`, `daily=7`, `within=30d`, `tag=release`."""
    counts: dict[str, Any] = {}
    tags = set()
    for text in ",".join(texts).split(",") if texts else ():
        name, _, value = text.strip().partition("=")
        if name in _COUNTS and value.isdecimal():
            counts[name] = int(value)
        elif name == "within" and value:
            counts["within_s"] = duration(value)
        elif name == "tag" and value:
            tags.add(value)
        else:
            raise click.BadParameter(
                f"{text!r} is no rule; write last=5, hourly=24, daily=7, weekly=4, within=30d or tag=NAME"
            )
    return Keep(**counts, tags=frozenset(tags))


@click.command()
@click.argument("snapshots", nargs=-1, metavar="[ID]...")
@click.option(
    "--keep",
    multiple=True,
    callback=_read_keep,
    metavar="RULE",
    help="Keep last=N, hourly=N, daily=N, weekly=N, within=TIME, tag=NAME; repeatable, or with commas.",
)
@click.option("--dry-run", is_flag=True, help="Only tell.")
@click.option("--protect", "is_protected", is_flag=True, help="Keep ID whatever rules say.")
@click.option("--unprotect", "is_unprotected", is_flag=True, help="Take that back.")
@store_options
def command(
    snapshots: tuple[str, ...],
    keep: Keep,
    options: StoreOptions,
    *,
    dry_run: bool,
    is_protected: bool,
    is_unprotected: bool,
    as_json: bool,
) -> None:
    """Forget the snapshots that no --keep rule keeps, or those that are named.

    The newest of each source and protected ones always stay. Space is freed by `resile gc`.
    """
    if bool(snapshots) == (not keep.is_empty):
        raise ConfigError(
            "give rules or snapshots, one of them",
            hint="for instance: resile forget --keep last=12,daily=7,weekly=5 --dry-run",
        )
    if (is_protected or is_unprotected) and (not snapshots or is_protected == is_unprotected):
        raise ConfigError(
            "snapshots are protected, or not, by their names",
            hint="for instance: resile forget --protect latest",
        )
    with opened(options) as store:
        if is_protected or is_unprotected:
            for name in snapshots if not dry_run else ():
                (protect if is_protected else unprotect)(store, store.find(name))
            decided: list[Kept] = []
        elif snapshots:
            decided = _named(store, snapshots)
        else:
            decided = decide_kept(
                store.snapshots(), keep, protected=protected(store), now=store.clock.now()
            )
        gone = [one.snapshot for one in decided if not one.reasons and not dry_run]
        forget(store, gone)
        if gone:
            ids = tuple(one.snapshot_id for one in gone)
            record(options, store, SnapshotsForgotten(place=store.backend.url, snapshot_ids=ids))
    _print(decided, is_dry=dry_run, as_json=as_json)


def _named(store: Repository, names: tuple[str, ...]) -> list[Kept]:
    found = [store.find(name) for name in names]
    kept = protected(store)
    if stuck := [one for one in found if one.snapshot_id in kept]:
        raise RejectedError(
            f"{', '.join(one.snapshot_id[:ID_DIGITS] for one in stuck)} is protected",
            hint=f"resile forget --unprotect {stuck[0].snapshot_id[:ID_DIGITS]}",
        )
    return [Kept(snapshot=one, reasons=()) for one in found]


def _print(decided: list[Kept], *, is_dry: bool, as_json: bool) -> None:
    if as_json:
        data = [snapshot_data(one.snapshot) | {"kept_by": list(one.reasons)} for one in decided]
        print_json({"is_dry": is_dry, "snapshots": data})
        return
    if not decided:
        print("done")
        return
    rows = [
        [
            one.snapshot.snapshot_id[:ID_DIGITS],
            local_time(one.snapshot.started_at),
            ", ".join(one.reasons) or ("would be forgotten" if is_dry else "forgotten"),
            one.snapshot.source,
        ]
        for one in decided
    ]
    print_table(["id", "taken", "kept by", "source"], rows)
    if not is_dry and any(not one.reasons for one in decided):
        print("free the space: resile gc")
