"""`resile verify`: find whatever is wrong with a store."""

import contextlib
from typing import Any

import click

from resile.cli.output import clean, print_json, say
from resile.cli.stores import ID_DIGITS, Progress, StoreOptions, opened, shown, store_options
from resile.core.units import format_size
from resile.errors import StoreDamagedError
from resile.store import Verified, verify

_SHOWN_MAX = 20


@click.command()
@click.option("--data", is_flag=True, help="Read every byte, and compare it with its hash.")
@store_options
def command(options: StoreOptions, *, data: bool, as_json: bool) -> int:
    """Verify a store; nothing is changed. Exit code 8: something is wrong.

    Without --data the structure is verified: every snapshot, folder and table, and that all they
    need is there.
    """
    with (
        opened(options) as store,
        contextlib.closing(Progress("verifying")) as progress,
    ):
        found = verify(store, data=data, on_progress=progress)
    if as_json:
        print_json(_data(found))
        return 0 if found.is_sound else StoreDamagedError.exit_code
    print(
        f"{found.files:,} files of the store, {found.snapshots:,} snapshots"
        + (f", {format_size(found.size_bytes)} read" if data else "")
    )
    for flaw in found.flaws[:_SHOWN_MAX]:
        say(clean(f"{_short(flaw.name)}: {flaw.what}"))
    if len(found.flaws) > _SHOWN_MAX:
        say(f"and {len(found.flaws) - _SHOWN_MAX:,} more: --json lists them")
    for path in found.affected[:_SHOWN_MAX]:
        say(clean(f"cannot be restored: {path.snapshot[:ID_DIGITS]} {shown(path.path) or '.'}"))
    if not found.is_sound:
        raise StoreDamagedError(
            f"{len(found.flaws):,} things are wrong", hint="mend them: resile repair"
        )
    print("nothing is wrong" if data else "nothing is wrong; --data reads every byte, too")
    return 0


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
