"""`resile cat`: a file of a snapshot."""

import sys

import click

from resile.cli.stores import StoreOptions, opened, store_options
from resile.errors import ConfigError
from resile.store import EntryType, find_path, read_file


@click.command()
@click.argument("snapshot", metavar="ID")
@click.argument("path", metavar="PATH")
@store_options
def command(snapshot: str, path: str, options: StoreOptions, *, as_json: bool) -> None:
    """Write the content of a file in the snapshot ID (or `latest`) to standard output."""
    if as_json:
        raise ConfigError("a file's content is no JSON", hint="leave --json out")
    with opened(options) as store:
        name = path.encode("utf-8", "surrogateescape")
        entry = find_path(store, store.find(snapshot).root, name)
        if entry.type is not EntryType.FILE:
            raise ConfigError(
                f"{path!r} is a {entry.type.value}", hint=f"list it: resile ls {snapshot} {path}"
            )
        for data in read_file(store, entry):
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
