"""`resile replicate`: keep a second store in step."""

import contextlib
from dataclasses import asdict

import click

from resile.cli.output import print_json, say
from resile.cli.store_story import record, replicated
from resile.cli.stores import Progress, StoreOptions, opened, replica_of, store_options
from resile.core.units import format_size
from resile.errors import ConfigError, StoreDamagedError
from resile.store import lag, open_backend, replicate


@click.command()
@click.option("--to", "place", metavar="PLACE", help="Default: the replica of resile.toml.")
@click.option("--prune", is_flag=True, help="Remove there what this store has no more.")
@click.option("--lag", "is_lag", is_flag=True, help="Only tell how far it is behind.")
@store_options
def command(
    place: str | None, options: StoreOptions, *, prune: bool, is_lag: bool, as_json: bool
) -> int:
    """Copy to a second store what it lacks. Damaged files are not copied. Exit code 8: there are some."""
    place = place or replica_of(options)
    if not place:
        raise ConfigError("no second store is named", hint="resile replicate --to PLACE")
    target = open_backend(place)
    with opened(options) as store:
        if is_lag:
            return _tell(asdict(lag(store.backend, target)), as_json=as_json)
        behind = lag(store.backend, target)
        with contextlib.closing(Progress("copying")) as progress:
            done = replicate(store, target, is_pruned=prune, on_progress=progress)
        record(options, store, replicated(store, target, done, behind))
    if as_json:
        print_json(
            {
                "copied": done.copied,
                "copied_bytes": done.copied_bytes,
                "removed": done.removed,
                "flaws": [{"name": flaw.name, "what": flaw.what} for flaw in done.flaws],
            }
        )
        return StoreDamagedError.exit_code if done.flaws else 0
    print(
        f"copied {done.copied} files, {format_size(done.copied_bytes)}"
        + (f"; removed {done.removed}" if prune else "")
    )
    for flaw in done.flaws:
        say(f"not copied: {flaw.what}")
    if done.flaws:
        raise StoreDamagedError(
            f"{len(done.flaws)} files are damaged here and were not copied",
            hint="mend them: resile repair --from PLACE",
        )
    return 0


def _tell(facts: dict[str, object], *, as_json: bool) -> int:
    oldest = facts["oldest_at"]
    if as_json:
        print_json({"snapshots": facts["snapshots"], "oldest_at": oldest and str(oldest)})
    elif oldest:
        print(f"{facts['snapshots']} snapshots behind; the oldest was taken at {oldest}")
    else:
        print("in step")
    return 0
