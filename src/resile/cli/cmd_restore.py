"""`resile restore`: bring a snapshot back, beside or in place."""

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.moments import moment_data, say_moment
from resile.cli.options import time
from resile.cli.output import clean, print_json, say
from resile.cli.stores import (
    ID_DIGITS,
    PARTIAL_CODE,
    Progress,
    StoreOptions,
    local_time,
    opened,
    shown,
    state_of,
    store_options,
)
from resile.core.units import format_size
from resile.errors import ConfigError, ResileError, StoreDamagedError
from resile.store import (
    SAFETY_TAG,
    Moment,
    Repository,
    RestoreReport,
    Snapshot,
    at_moment,
    choose_base,
    compare,
    kept_by,
    left_out_of,
    live_root,
    note_restore,
    restore_in_place,
    restore_to,
    save_live,
)

_SHOWN_MAX = 20
_SIGNS = {"created": "+", "deleted": "-", "modified": "~", "metadata": "m", "replaced": "!"}


@click.command()
@click.argument("snapshot", metavar="[ID]", required=False)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), metavar="DIR", help="A new or empty folder."
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Where it was taken; at once, and after a snapshot of what is there now.",
)
@click.option("--source", metavar="DIR", help="With `latest` and --at: of this folder.")
@click.option("--at", type=time, metavar="TIME", help="As it was then: see below.")
@click.option("--dry-run", is_flag=True, help="With --in-place: only tell what would change.")
@store_options
def command(
    snapshot: str | None,
    paths: tuple[str, ...],
    options: StoreOptions,
    *,
    target: Path | None,
    in_place: bool,
    source: str | None,
    at: datetime | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Restore the snapshot ID (or `latest`), or only some PATHs of it.

    With --at: the newest snapshot that is not younger, and what contained runs committed between it
    and TIME, as the log of the folder has it (a table [snapshot.NAME] in resile.toml gives it one).

    No link in the target is followed. In place, what the snapshot leaves out stays as it is. Exit
    code 3: something was restored without all that it carried (owner, attributes); 8: something is
    lost, or the log ends before TIME; everything else was restored.
    """
    if bool(target) == in_place or (dry_run and not in_place):
        raise ConfigError(
            "say where to: --to DIR, or --in-place",
            hint="look first: resile restore latest --in-place --dry-run",
        )
    kept: tuple[str, ...] = ()
    names = tuple(path.encode("utf-8", "surrogateescape") for path in paths)
    with opened(options) as store, contextlib.closing(Progress("restoring")) as progress:
        state = state_of(options)
        chosen = _choose(store, snapshot, source, at, state)
        moment = Moment(root=chosen.root, reader=store)
        if at is not None:
            moment = at_moment(state, chosen, store, at, snapshots=store.snapshots())
        root, reader = moment.root, moment.reader
        if dry_run:
            return _tell_changes(store, chosen, moment, as_json=as_json)
        if target is not None:
            report = restore_to(target, root, reader, paths=names, on_progress=progress)
            place, safety = target, None
        else:
            place = Path(chosen.source)
            safety = save_live(store, place, paths=names)
            rules = kept_by(store, chosen, state=state)
            with restore_in_place(
                place, root, reader, paths=names, rules=rules, on_progress=progress
            ) as done:
                report, kept = done.report, done.kept
            _note(state, place, moment, names, safety)
    if as_json:
        data = _data(report, chosen, place, safety, kept)
        print_json(data if at is None else data | moment_data(moment))
    else:
        _print(report, chosen, place, safety, kept)
        if at is not None:
            say_moment(moment, chosen)
    if report.lost_count or moment.problem:
        return StoreDamagedError.exit_code
    return PARTIAL_CODE if report.skipped_count else 0


def _note(
    state: Path | None,
    place: Path,
    moment: Moment,
    names: tuple[bytes, ...],
    safety: Snapshot | None,
) -> None:
    """Have the logs of folders know it; what was restored is restored."""
    try:
        note_restore(state, place, moment.root, moment.reader, paths=names, before=safety)
    except ResileError as exc:
        say(f"warning: restore --at will end here, as the log could not note it: {exc.message}")


def _choose(
    store: Repository,
    name: str | None,
    source: str | None,
    at: datetime | None,
    state: Path | None,
) -> Snapshot:
    """Find the snapshot that is meant.

    Raises:
        ConfigError: If none is named, or none is so old.
    """
    origin = str(Path(source).absolute()) if source else ""
    if at is None:
        if name is None:
            raise ConfigError("no snapshot is named", hint="resile restore latest --to DIR")
        return store.find(name, source=origin)
    if name not in (None, "latest"):
        raise ConfigError("give an ID or --at, not both", hint="paths come after `latest`")
    found = [
        one
        for one in store.snapshots()
        if (not origin or one.source == origin) and SAFETY_TAG not in one.tags
    ]
    base = choose_base(state, found, at)
    if base is None:
        raise ConfigError(
            f"no snapshot was taken at {local_time(at)} or before", hint="resile snapshots"
        )
    return base


def _tell_changes(store: Repository, chosen: Snapshot, moment: Moment, *, as_json: bool) -> int:
    """Tell what a restore in place would change."""
    with live_root(store, chosen) as now:
        changes = list(compare(moment.reader, now, moment.root))
    left_out = left_out_of(chosen)
    if as_json:
        print_json(
            {
                "snapshot": chosen.snapshot_id,
                "changes": [{"path": shown(c.path), "kind": c.kind.value} for c in changes],
                "left_out": [shown(path) for path in left_out],
                "problem": moment.problem,
            }
        )
        return 0
    for change in changes:
        print(f"{_SIGNS[change.kind.value]} {shown(change.path)}")
    print(f"{len(changes):,} paths of {chosen.source} would change" if changes else "no change")
    if left_out:
        print(_kept_text(len(left_out), shown(left_out[0]), "stay as they are"))
    if moment.problem:
        say(f"that is not all up to then: {moment.problem}")
    return 0


def _kept_text(count: int, first: str, what: str) -> str:
    return f"{count:,} paths that its snapshots leave out {what}, as {clean(first)}"


def _print(
    report: RestoreReport,
    chosen: Snapshot,
    place: Path,
    safety: Snapshot | None,
    kept: tuple[str, ...],
) -> None:
    print(
        f"restored {chosen.snapshot_id[:ID_DIGITS]} of {local_time(chosen.started_at)} to {place}:"
        f" {report.files:,} files in {report.folders:,} folders, {format_size(report.bytes)}"
    )
    if safety is not None:
        print(f"what was there before: {safety.snapshot_id[:ID_DIGITS]}")
    if kept:
        print(_kept_text(len(kept), kept[0], "stayed as they were"))
    for what, problems in (("without all it carried", report.skipped), ("lost", report.lost)):
        for one in problems[:_SHOWN_MAX]:
            say(f"{what}: {one.path}: {one.reason}")
        if len(problems) > _SHOWN_MAX:
            say(f"and {len(problems) - _SHOWN_MAX:,} more: --json lists them")
    if report.foreign_count:
        say(f"{report.foreign_count:,} belong to this user now: only root may give files away")


def _data(
    report: RestoreReport,
    chosen: Snapshot,
    place: Path,
    safety: Snapshot | None,
    kept: tuple[str, ...],
) -> dict[str, Any]:
    return {
        "snapshot": chosen.snapshot_id,
        "to": str(place),
        "before": safety and safety.snapshot_id,
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "kept": list(kept),
        "skipped": [{"path": one.path, "reason": one.reason} for one in report.skipped],
        "lost": [{"path": one.path, "reason": one.reason} for one in report.lost],
        "foreign": report.foreign_count,
    }
