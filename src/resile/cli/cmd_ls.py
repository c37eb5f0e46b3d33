"""`resile ls`: what is in a snapshot."""

import stat
from datetime import UTC, datetime
from typing import Any

import click

from resile.cli.output import print_json, print_table
from resile.cli.stores import StoreOptions, local_time, opened, shown, store_options
from resile.store import Entry, EntryType, find_path, walk_entries

_BITS = {
    EntryType.FILE: stat.S_IFREG,
    EntryType.FOLDER: stat.S_IFDIR,
    EntryType.LINK: stat.S_IFLNK,
    EntryType.FIFO: stat.S_IFIFO,
    EntryType.CHAR: stat.S_IFCHR,
    EntryType.BLOCK: stat.S_IFBLK,
}


@click.command()
@click.argument("snapshot", metavar="ID")
@click.argument("path", default=".", metavar="[PATH]")
@click.option("-r", "--recursive", is_flag=True, help="What is below, too.")
@store_options
def command(
    snapshot: str, path: str, options: StoreOptions, *, recursive: bool, as_json: bool
) -> None:
    """List a folder of the snapshot ID (or `latest`), or show one file."""
    with opened(options) as store:
        name = path.encode("utf-8", "surrogateescape")
        entry = find_path(store, store.find(snapshot).root, name)
        if entry.type is not EntryType.FOLDER:
            found = [(name, entry)]
        elif recursive:
            found = list(walk_entries(store, entry))
        else:
            found = [(one.name, one) for one in store.tree(entry.tree)]
    if as_json:
        print_json({"entries": [_data(path, entry) for path, entry in found]})
        return
    print_table(
        ["mode", "owner", "size", "modified", "name"],
        [
            [
                stat.filemode(_BITS[entry.type] | entry.mode),
                f"{entry.uid}:{entry.gid}",
                str(entry.size) if entry.type is EntryType.FILE else "",
                local_time(_modified(entry)),
                shown(path) + (f" -> {shown(entry.target)}" if entry.target else ""),
            ]
            for path, entry in found
        ],
    )


def _data(path: bytes, entry: Entry) -> dict[str, Any]:
    return {
        "path": shown(path),
        "type": entry.type.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "modified_at": _modified(entry).isoformat(),
        "target": shown(entry.target) or None,
    }


def _modified(entry: Entry) -> datetime:
    try:
        return datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)  # A time that no calendar has.
