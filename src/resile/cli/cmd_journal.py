"""`resile journal`: verify the chain of events, or export its head."""

from pathlib import Path

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json
from resile.cli.places import find_places
from resile.core.journal import Head, format_head, open_journal, parse_head, verify_journal
from resile.errors import JournalError


def exported_head(text: str) -> Head:
    """Read an exported head, `SEQ:HASH`.

    Raises:
        click.BadParameter: If it is none.
    """
    try:
        return parse_head(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.group()
def command() -> None:
    """Verify the journal's chain of events, or export its head. Needs no daemon."""


@command.command()
@click.option(
    "--head",
    type=exported_head,
    metavar="SEQ:HASH",
    help="A head that was exported earlier: shows whether everything up to it is still there.",
)
@config_option
@json_option
def verify(config: Path | None, *, head: Head | None, as_json: bool) -> None:
    """Check every record against its hash, and each against the one before.

    A running daemon goes on meanwhile. Exit code 5 if the chain is broken; the message names
    the first bad record.
    """
    folder = find_places(config).journal
    found = verify_journal(folder, head=head)
    if as_json:
        print_json(
            {
                "is_whole": True,
                "segments": found.segments,
                "records": found.records,
                "first_seq": found.first_seq,
                "head": _head_json(found.head),
            }
        )
        return
    print(f"the chain holds: {found.records} records in {found.segments} segments")
    print(f"head: {format_head(found.head)}")


@command.command()
@config_option
@json_option
def head(config: Path | None, *, as_json: bool) -> None:
    """Print the head, SEQ:HASH. Keep it elsewhere: `verify --head` then sees a cut tail."""
    journal = open_journal(find_places(config).journal, create=False)
    try:
        now = journal.head()
    finally:
        journal.close()
    if now.seq == 0:
        raise JournalError("the journal is empty", hint="start the system once with `resile up`")
    if as_json:
        print_json(_head_json(now))
    else:
        print(format_head(now))


def _head_json(head: Head) -> dict[str, object]:
    return {"seq": head.seq, "hash": head.hash.hex()}
