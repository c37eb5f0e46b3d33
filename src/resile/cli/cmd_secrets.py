"""`resile secrets`: read, change, rotate and watch secrets; what only reads is here."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from resile.cli.options import config_option, json_option, time
from resile.cli.output import print_json, print_table, say
from resile.cli.secret_changes import CHANGES
from resile.cli.secret_desk import Desk, Facts, Home, find_home, opened, suggesting
from resile.cli.secret_options import name_argument, names_that_begin
from resile.cli.secret_tables import (
    ACCESS_HEADS,
    FINDING_HEADS,
    HISTORY_HEADS,
    LIST_HEADS,
    ROTATION_HEADS,
    access_row,
    history_row,
    list_row,
    rotation_row,
    standing_lines,
    version_data,
)
from resile.cli.secret_values import refuse_screen, shown_data, write_value
from resile.core.clock import SYSTEM_CLOCK
from resile.core.codec import encode
from resile.core.events import SecretAccessed
from resile.errors import ConfigError, SecretError, UnknownSecretError
from resile.secrets import CURRENT_VERSION, Version

ACCESSES_MAX = 1000
READ_MAX = 20_000
"""So many of the newest accesses are looked through for those of one client."""
_WRONG = ("error", "warning")
_LEVELS = (*_WRONG, "note")


@click.group()
def command() -> None:
    """Read, change, rotate and watch secrets.

    The keeper of this system is asked, if its daemon runs; else the command opens the provider that
    resile.toml names. Every value that is read, and every change, is journalled, without the value.
    """


@command.command(name="list")
@click.option("--rotations", "with_rotations", is_flag=True, help="The last rotations, too.")
@config_option
@json_option
def list_secrets(config: Path | None, *, with_rotations: bool, as_json: bool) -> None:
    """List the secrets: version, age, next rotation, who gets them, who uses them. No values."""
    with opened(config) as desk:
        overview = desk.overview()
    if as_json:
        print_json(overview)
        return
    now, is_well = SYSTEM_CLOCK.now(), overview["provider"]["is_well"]
    if overview["secrets"]:
        rows = [list_row(one, now, is_well=is_well) for one in overview["secrets"]]
        print_table(LIST_HEADS, rows)
    elif is_well:
        print("no secret is kept yet: resile secrets put NAME")
    for line in standing_lines(overview):
        print(line)
    if with_rotations and overview["rotations"]:
        print()
        print_table(ROTATION_HEADS, [rotation_row(one) for one in overview["rotations"]])
    elif with_rotations:
        print("nothing was rotated yet")


@command.command()
@name_argument()
@click.option("--field", metavar="FIELD", help="One field of a credential, such as `password`.")
@click.option(
    "--version",
    default=CURRENT_VERSION,
    show_default=True,
    metavar="VERSION",
    help="`current`, `previous`, or a number of `history`.",
)
@click.option("--show", "is_shown", is_flag=True, help="On a terminal, or in JSON, too.")
@config_option
@json_option
def get(
    name: str,
    field: str | None,
    version: str,
    config: Path | None,
    *,
    is_shown: bool,
    as_json: bool,
) -> None:
    """Write the value of NAME to standard output, and nothing else, not even a newline.

    A terminal gets it with --show only. With --json it tells the version, and the value with --show.
    """
    if as_json:
        _get_json(name, field, version, config, is_shown=is_shown)
        return
    refuse_screen(name, is_shown=is_shown)
    with opened(config) as desk, suggesting(desk, name):
        secret = desk.read(name, version)
    write_value(secret, field)


@command.command()
@name_argument()
@config_option
@json_option
def history(name: str, config: Path | None, *, as_json: bool) -> None:
    """List the versions of NAME, the newest first."""
    with opened(config) as desk, suggesting(desk, name):
        versions = desk.history(name)
    if as_json:
        rows = [version_data(name, one) for one in versions]
        print_json({"name": name, "versions": rows})
        return
    now = SYSTEM_CLOCK.now()
    print_table(HISTORY_HEADS, [history_row(one, now) for one in versions])


@command.command()
@click.argument("name", default="", shell_complete=names_that_begin, metavar="[NAME]")
@click.option(
    "--client",
    default="*",
    metavar="CLIENT",
    help="service/NAME, user/UID/PROGRAM; * fits any text.",
)
@click.option("--since", type=time, help="Only since: 10m, or an ISO time.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, ACCESSES_MAX),
    default=100,
    show_default=True,
    help="At most so many, the newest.",
)
@config_option
@json_option
def access(
    name: str,
    client: str,
    since: datetime | None,
    limit: int,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show who asked for secrets, or for NAME, and what came of it; oldest first. From the journal."""
    found = _accesses(find_home(config), name, client, since)[:limit][::-1]
    if as_json:
        print_json({"accesses": [{"at": at.isoformat(), **encode(one)} for at, one in found]})
    elif found:
        print_table(ACCESS_HEADS, [access_row(at, one) for at, one in found])
    else:
        print("nobody asked")


@command.command()
@config_option
@json_option
def doctor(config: Path | None, *, as_json: bool) -> int:
    """Look for what is wrong: keys, files, candidates that nobody wants, rotations that wait, clocks.

    Every value of a local store is tried. Exit code 1 if something is wrong; notes are not.
    """
    findings = _findings(config)
    if as_json:
        print_json({"findings": findings})
    elif findings:
        rows = [(one["level"], one["about"], one["message"]) for one in findings]
        print_table(FINDING_HEADS, rows)
        for one in findings:
            if one["hint"]:
                print(f"\n{one['message']}\n  {one['hint']}")
    else:
        print("nothing is wrong")
    return 1 if any(one["level"] in _WRONG for one in findings) else 0


for _change in CHANGES:
    command.add_command(_change)


def _get_json(
    name: str, field: str | None, version: str, config: Path | None, *, is_shown: bool
) -> None:
    if field is not None and not is_shown:
        raise ConfigError("--json tells a field with --show only", hint="say --show, too")
    with opened(config) as desk, suggesting(desk, name):
        if not is_shown:
            print_json(version_data(name, _version(desk, name, version)))
            return
        secret = desk.read(name, version)
    found = Version(number=secret.version, stage=secret.stage, created_at=secret.created_at)
    print_json({**version_data(name, found), **shown_data(secret, field)})


def _version(desk: Desk, name: str, version: str) -> Version:
    """Find a version in the history, so that no value is read for what is not shown."""
    for one in desk.history(name):
        if version in (one.number, one.stage.value):
            return one
    raise UnknownSecretError(
        f"secret {name!r} has no version {version!r}",
        hint=f"see which it has: resile secrets history {name}",
    )


def _accesses(
    home: Home, name: str, client: str, since: datetime | None
) -> Sequence[tuple[datetime, SecretAccessed]]:
    """Read them from the journal, the newest first."""
    from resile.core.journal import Query, open_journal

    if home.places is None:
        raise ConfigError(
            "secrets that RESILE_SECRETS names are given without a record",
            hint="let a resile.toml keep them: resile init",
        )
    if not home.places.journal.exists():
        return ()
    journal = open_journal(home.places.journal, create=False)
    try:
        query = Query(
            kinds=(SecretAccessed.kind,),
            subject=f"secret/{name}" if name else "",
            since=since,
            limit=READ_MAX,
            is_newest_first=True,
        )
        events = [record.event for record in journal.read(query)]
    finally:
        journal.close()
    if len(events) == READ_MAX:
        say(f"only the newest {READ_MAX} were looked through; give --since or NAME for others")
    told = [(event.at, event.payload()) for event in events]
    return [
        (at, one)
        for at, one in told
        if isinstance(one, SecretAccessed) and fnmatchcase(one.client, client)
    ]


def _findings(config: Path | None) -> list[Facts]:
    try:
        with opened(config) as desk:
            overview = desk.overview()
            found = [*desk.findings(), *_missing(overview), *_cut_off(overview)]
            return sorted(found, key=lambda one: _LEVELS.index(one["level"]))
    except SecretError as exc:  # That it cannot be opened is what is wrong.
        return [_finding("error", "secrets", exc.message, exc.hint)]


def _missing(overview: Facts) -> list[Facts]:
    return [
        _finding(
            "warning",
            one["name"],
            f"{one['name']} is declared, and has no value",
            f"put one: resile secrets put {one['name']}",
        )
        for one in overview["secrets"]
        if not (one["version"] or one["is_canary"] or one["is_made_when_read"])
        and overview["provider"]["is_well"]
    ]


def _cut_off(overview: Facts) -> list[Facts]:
    return [
        _finding(
            "warning",
            one["client"],
            f"{one['client']} gets no secrets: {one['why']}",
            f"when that is settled: resile secrets release {one['client']}",
        )
        for one in overview["quarantined"]
    ]


def _finding(level: str, about: str, message: str, hint: str) -> dict[str, Any]:
    return {"level": level, "about": about, "message": message, "hint": hint}
