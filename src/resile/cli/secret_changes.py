"""The subcommands of `resile secrets` that change something."""

import os
from pathlib import Path

import click

from resile.cli.options import config_option, json_option, wait_options
from resile.cli.output import clean, print_json, say
from resile.cli.secret_desk import Desk, Facts, find_home, opened, suggesting
from resile.cli.secret_options import (
    be_sure,
    name_argument,
    say_done,
    why_option,
    yes_option,
)
from resile.cli.secret_rotating import rotate as rotate_and_follow
from resile.cli.secret_tables import ended_hint, plan_lines, report_lines, step_line, version_data
from resile.cli.secret_values import (
    LENGTH_DEFAULT,
    LENGTH_MAX,
    LENGTH_MIN,
    random_value,
    read_value,
    refuse_arguments,
)
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.errors import ConfigError
from resile.secrets import Version
from resile.secrets.checking import need_name


@click.command(context_settings={"ignore_unknown_options": True})
@name_argument()
@click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.option("--from-file", "source", metavar="FILE", help="Read it there; - is standard input.")
@click.option("--exact", "is_exact", is_flag=True, help="Keep the newline at the end of a line.")
@click.option(
    "--generate",
    "length",
    is_flag=False,
    flag_value=str(LENGTH_DEFAULT),
    type=click.IntRange(LENGTH_MIN, LENGTH_MAX),
    metavar="[LENGTH]",
    help=f"Make a random text, of {LENGTH_DEFAULT} characters by default.",
)
@click.option(
    "--expect",
    metavar="VERSION",
    help='Only if this version is current; "" if there must be none yet.',
)
@config_option
@json_option
def put(
    name: str,
    more: tuple[str, ...],
    config: Path | None,
    *,
    source: str | None,
    length: int | None,
    expect: str | None,
    is_exact: bool,
    as_json: bool,
) -> None:
    """Give NAME a new value, from standard input: piped, or typed twice without echo.

    A value is never an argument: those are seen by every process of the machine, and kept in the shell's history.
    """
    if more:
        refuse_arguments(name)
    need_name(name)
    if length is not None and source is not None:
        raise ConfigError("--generate makes a value, and --from-file reads one", hint="say one")
    value = random_value(length) if length else read_value(name, source, is_exact=is_exact)
    with opened(config) as desk:
        version = desk.put(name, value, expect=expect)
    _tell_version(name, version, "is current", as_json=as_json)


@click.command()
@name_argument()
@yes_option
@config_option
@json_option
def rollback(name: str, config: Path | None, *, is_sure: bool, as_json: bool) -> None:
    """Give NAME the value again that it had before, as a new version.

    A rotation that is open is called off instead. It works until the version before was retired.
    """
    be_sure(f"Bring back the value of {name} before the current one?", is_sure=is_sure)
    with opened(config) as desk, suggesting(desk, name):
        version = desk.rollback(name)
    _tell_version(name, version, "is current, with the value before", as_json=as_json)


@click.command()
@name_argument()
@click.argument("version", default="", metavar="[VERSION]")
@why_option(required=True)
@yes_option
@config_option
@json_option
def revoke(
    name: str, version: str, why: str, config: Path | None, *, is_sure: bool, as_json: bool
) -> None:
    """Destroy VERSION of NAME, or all of them, for good: nobody gets it from here any more.

    It opens its target still. If somebody else has it, `resile secrets rotate NAME --compromise`.
    """
    what = f"version {version}" if version else "all versions"
    be_sure(f"Destroy {what} of {name} for good?", is_sure=is_sure)
    with opened(config) as desk, suggesting(desk, name):
        desk.revoke(name, version, why=why)
    if as_json:
        print_json({"name": name, "version": version})
    else:
        print(f"{name}: {what} destroyed")


@click.command()
@name_argument()
@click.option(
    "--compromise",
    "is_compromise",
    is_flag=True,
    help="Somebody else has it: the old one dies at the secret's deadline, whoever uses it.",
)
@why_option()
@click.option("--dry-run", "is_dry", is_flag=True, help="Tell what would be done, and do nothing.")
@wait_options
@config_option
@json_option
def rotate(
    name: str,
    why: str,
    timeout_s: float,
    config: Path | None,
    *,
    is_compromise: bool,
    is_dry: bool,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Rotate NAME by its rotator, step by step, and wait until the old credential is retired.

    Without --compromise nobody is cut off: the old one lives until all have taken the new one. If that takes
    longer than --timeout, the keeper goes on by itself. Exit code 1 if it is not over by then, or was aborted.
    """
    reason = RotationReason.COMPROMISE if is_compromise else RotationReason.MANUAL
    if is_compromise and not why:
        raise ConfigError("a compromise has a reason", hint="say it: --why TEXT")
    with opened(config) as desk, suggesting(desk, name):
        if is_dry:
            return _tell_plan(
                desk.rotate(name, reason=reason, why=why, is_dry=True), as_json=as_json
            )
        wait_s = None if no_wait else timeout_s
        report = _rotated(desk, name, reason, why, wait_s=wait_s, as_json=as_json)
    if as_json:
        print_json(report)
    else:
        _tell_report(report, goes_on=desk.goes_on)
    is_done = report["outcome"] == RotationOutcome.ROTATED
    return 0 if is_done or (no_wait and report["outcome"] is None) else 1


@click.command()
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The new passphrase, where the store has one; else a new key file is made.",
)
@config_option
@json_option
def rekey(passphrase_file: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Seal every value of the local store with a new master key.

    Copies of the store from before still open with the old key. A systemd credential's new one has to
    stand beside it before, with `.new` after its name.
    """
    if passphrase_file is not None:
        _place_passphrase(config, passphrase_file)
    with opened(config) as desk:
        versions = desk.rekey()
    if as_json:
        print_json({"versions": versions})
    else:
        count = "1 version is" if versions == 1 else f"{versions} versions are"
        print(f"{count} sealed with a new master key; keep a copy of it elsewhere")


@click.command()
@click.argument("client")
@why_option(required=True)
@config_option
@json_option
def quarantine(client: str, why: str, config: Path | None, *, as_json: bool) -> None:
    """Cut CLIENT off: it gets no secret any more, and all that it has read is rotated as compromised.

    A client is service/NAME, or user/UID/PROGRAM; `resile secrets access` names them.
    """
    with opened(config) as desk:
        desk.quarantine(client, why=why)
    if as_json:
        print_json({"client": client})
    else:
        print(f"{client} gets no secrets until: resile secrets release {client}")


@click.command()
@click.argument("client")
@config_option
@json_option
def release(client: str, config: Path | None, *, as_json: bool) -> None:
    """Give CLIENT its secrets again, after it was cut off."""
    with opened(config) as desk:
        desk.release(client)
    if as_json:
        print_json({"client": client})
    else:
        print(f"{client} gets its secrets again")


CHANGES = (put, rollback, rotate, revoke, rekey, quarantine, release)


def _tell_version(name: str, version: Version, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(version_data(name, version))
    else:
        print(f"{name}: version {version.number} {what}")


def _rotated(
    desk: Desk,
    name: str,
    reason: RotationReason,
    why: str,
    *,
    wait_s: float | None,
    as_json: bool,
) -> Facts:
    if wait_s is None and not desk.goes_on:
        raise ConfigError(
            "without a daemon nobody would go on with the rotation",
            hint="leave out --no-wait, or start the daemon: resile up",
        )
    try:
        return rotate_and_follow(
            desk,
            name,
            reason=reason,
            why=why,
            wait_s=wait_s,
            on_step=lambda step, s: say_done(step_line(step, s), as_json=as_json),
            on_hold=lambda text: say_done(f"  {clean(text)}", as_json=as_json),
        )
    except KeyboardInterrupt:
        again = "it goes on by itself" if desk.goes_on else f"go on: resile secrets rotate {name}"
        say(f"the rotation stands as it is; {again}")
        raise


def _tell_plan(report: Facts, *, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        for line in plan_lines(report):
            print(line)
    return 0


def _tell_report(report: Facts, *, goes_on: bool) -> None:
    for line in report_lines(report):
        print(line)
    if report["outcome"] is None:
        say("it goes on by itself" if goes_on else "it goes on with the daemon: resile up")
    elif hint := ended_hint(report):
        say(hint)


def _place_passphrase(config: Path | None, file: Path) -> None:
    """Put a new passphrase where the store looks for its next master key.

    Raises:
        ConfigError: If it cannot be read, or the store has no passphrase.
    """
    from resile.cli.secret_own import settings_of
    from resile.core.files import write_durable
    from resile.secrets.providers.local_sources import sources_of

    home = find_home(config)
    settings = settings_of(home.config)["secrets"]
    if home.places is None or not settings.get("passphrase_file"):
        raise ConfigError(
            "the master key of these secrets is no passphrase",
            hint="leave out --passphrase-file",
        )
    _, key = sources_of(settings, state=home.places.state, environ=os.environ)
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}", hint="name a file") from exc
    write_durable(key.next_path, content)
