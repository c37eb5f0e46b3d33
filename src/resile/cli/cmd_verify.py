"""`resile verify`: find whatever is wrong with a store."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import click

from resile.cli.output import clean, print_json, say
from resile.cli.store_story import record, stopwatch, verified
from resile.cli.stores import (
    ID_DIGITS,
    PARTIAL_CODE,
    Progress,
    StoreOptions,
    opened,
    say_unread,
    shown,
    snapshot_data,
    store_options,
)
from resile.core.units import format_size
from resile.errors import StoreDamagedError
from resile.store import (
    SAFETY_TAG,
    Drilled,
    Repository,
    Snapshot,
    Verified,
    drill,
    verify,
)

_SHOWN_MAX = 20


@click.command()
@click.option("--data", is_flag=True, help="Read every byte, and compare it with its hash.")
@click.option(
    "--restore",
    "is_drill",
    is_flag=True,
    help="Restore the newest snapshot of each folder for real, compare all of it, and remove it.",
)
@click.option(
    "--in",
    "room",
    type=click.Path(path_type=Path, file_okay=False),
    default=tempfile.gettempdir,
    metavar="DIR",
    help="With --restore: where there is room. Default: the temporary folder.",
)
@store_options
def command(options: StoreOptions, *, data: bool, is_drill: bool, room: Path, as_json: bool) -> int:
    """Verify a store; nothing is changed.

    Without --data the structure is verified: every snapshot, folder and table, and that all they
    need is there. Exit code 8: something is wrong; 3: nothing is, but the newest snapshot of a folder
    lacks what could not be read.
    """
    with opened(options) as store:
        with contextlib.closing(Progress("verifying")) as progress, stopwatch() as took:
            found = verify(store, data=data, on_progress=progress)
        record(options, store, verified(store, found, is_full=data, took_s=took[0]))
        newest = _newest(store)
        with contextlib.closing(Progress("restoring")) as progress:
            drills = [
                drill(store, snapshot, room, on_progress=progress)
                for snapshot in (newest if is_drill else ())
            ]
    is_good = found.is_sound and all(one.is_good for one in drills)
    partial = [one for one in newest if one.unread]
    if as_json:
        print_json(
            _data(found)
            | {
                "partial": [snapshot_data(one) for one in partial],
                "drills": [_drill_data(one) for one in drills],
            }
        )
        return _code(is_good=is_good, is_partial=bool(partial))
    print(
        f"{found.files:,} files of the store, {found.snapshots:,} snapshots"
        + (f", {format_size(found.size_bytes)} read" if data else "")
    )
    _print_flaws(found)
    for snapshot in partial:
        name = snapshot.snapshot_id[:ID_DIGITS]
        say(clean(f"{name} of {snapshot.source} is not all that was there"))
        say_unread(snapshot)
    for one in drills:
        _print_drill(one)
    if not is_good:
        count = len(found.flaws) + sum(one.lost_count + len(one.differences) for one in drills)
        raise StoreDamagedError(f"{count:,} things are wrong", hint="mend them: resile repair")
    print("nothing is wrong" if data else "nothing is wrong; --data reads every byte, too")
    return _code(is_good=True, is_partial=bool(partial))


def _code(*, is_good: bool, is_partial: bool) -> int:
    if not is_good:
        return StoreDamagedError.exit_code
    return PARTIAL_CODE if is_partial else 0


def _newest(store: Repository) -> list[Snapshot]:
    """Give the newest snapshot of each folder, but for those that a restore took."""
    newest = {one.source: one for one in store.snapshots() if SAFETY_TAG not in one.tags}
    return list(newest.values())


def _print_flaws(found: Verified) -> None:
    for flaw in found.flaws[:_SHOWN_MAX]:
        say(clean(f"{_short(flaw.name)}: {flaw.what}"))
    if len(found.flaws) > _SHOWN_MAX:
        say(f"and {len(found.flaws) - _SHOWN_MAX:,} more: --json lists them")
    for path in found.affected[:_SHOWN_MAX]:
        say(clean(f"cannot be restored: {path.snapshot[:ID_DIGITS]} {shown(path.path) or '.'}"))


def _print_drill(one: Drilled) -> None:
    print(
        clean(
            f"restored {one.snapshot.snapshot_id[:ID_DIGITS]} of {one.snapshot.source}:"
            f" {one.files:,} files, {format_size(one.size_bytes)}, "
            + ("all as they were" if one.is_good else f"{one.lost_count:,} lost")
        )
    )
    for path, what in one.differences[:_SHOWN_MAX]:
        say(clean(f"came back otherwise: {shown(path)} {what}"))


def _drill_data(one: Drilled) -> dict[str, Any]:
    return {
        "snapshot": one.snapshot.snapshot_id,
        "is_good": one.is_good,
        "files": one.files,
        "bytes": one.size_bytes,
        "lost": one.lost_count,
        "differences": [{"path": shown(path), "what": what} for path, what in one.differences],
    }


def _short(name: str) -> str:
    folder, _, digits = name.rpartition("/")
    return f"{folder}/{digits[:ID_DIGITS]}" if folder else name


def _data(found: Verified) -> dict[str, Any]:
    return {
        "is_sound": found.is_sound,
        "files": found.files,
        "bytes": found.size_bytes,
        "snapshots": found.snapshots,
        "flaws": [
            {"name": flaw.name, "what": flaw.what, "start": flaw.start, "end": flaw.end}
            for flaw in found.flaws
        ],
        "affected": [{"snapshot": one.snapshot, "path": shown(one.path)} for one in found.affected],
    }
