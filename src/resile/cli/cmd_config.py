"""`resile config`: check, show and describe resile.toml."""

import os
import re
from pathlib import Path
from typing import Any

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, say
from resile.cli.places import find_places
from resile.errors import ConfigError

_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|dsn", re.IGNORECASE)
_HIDDEN = "***"


@click.group()
def command() -> None:
    """Check, show and describe resile.toml."""


@command.command()
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> None:
    """Tell every error in the file, each with its line. Exit code 2 if there is one.

    Playbooks that contradict each other are a warning.
    """
    from resile.cli.preflight import playbook_problems, playbook_warnings
    from resile.core.config import load_config

    places = find_places(config)
    file = places.config
    loaded = load_config(file, environ=os.environ)
    if missing := tuple(playbook_problems(loaded, places, environ=os.environ)):
        raise ConfigError(
            f"{file} has playbooks whose programs are not there",
            hint="install them, or name them by their path; relative paths start beside the file",
            problems=missing,
        )
    warnings = list(playbook_warnings(loaded))
    for warning in warnings:
        say(f"warning: {warning}")
    if as_json:
        found = {"file": str(file), "errors": [], "warnings": warnings, "digest": loaded.digest}
        print_json(found)
        return
    counts = ", ".join(
        f"{len(tables)} {word}{'' if len(tables) == 1 else 's'}"
        for word, tables in (
            ("service", loaded.service),
            ("check", loaded.check),
            ("group", loaded.group),
        )
    )
    print(f"{file} is right: {counts}")


@command.command()
@json_option
def schema(*, as_json: bool) -> None:
    """Print the JSON Schema of the file, for editors. It is JSON with or without --json."""
    del as_json
    from resile.core.config import config_schema

    print_json(config_schema())


@command.command()
@config_option
@json_option
def show(config: Path | None, *, as_json: bool) -> None:
    """Print every setting as it counts: defaults, paths and RESILE_* variables worked in.

    Passwords, and variables whose name says that they are secret, are blotted out.
    """
    from resile.core.config import load_config

    data = _without_secrets(load_config(find_places(config).config, environ=os.environ).as_data())
    if as_json:
        print_json(data)
        return
    for line in _flat(data):
        print(line)


def _flat(data: Any, path: str = "") -> list[str]:
    """Write each setting on a line of its own: what `grep` likes, and TOML reads."""
    import json

    if isinstance(data, dict):
        dot = f"{path}." if path else ""
        return [line for key, value in data.items() for line in _flat(value, dot + key)]
    return [f"{path} = {json.dumps(data, ensure_ascii=False)}"]


def _without_secrets(data: Any, key: str = "") -> Any:
    from resile.core.passwords import without_password

    if isinstance(data, dict):
        hide = key == "env"
        return {
            name: _HIDDEN if hide and _SECRET_NAME.search(name) else _without_secrets(value, name)
            for name, value in data.items()
        }
    if isinstance(data, list):
        return [_without_secrets(item) for item in data]
    return without_password(data) if isinstance(data, str) else data
