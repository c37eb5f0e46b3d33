"""What hints say to type can be typed."""

import re
from pathlib import Path

import click

import resile
from resile.cli.cmd_secrets import command

SOURCE = Path(resile.__file__).parent
COMMAND = re.compile(r"resile secrets ([a-z]{3,})")


def test_every_subcommand_that_a_hint_names_is_there() -> None:
    named = {name for path in SOURCE.rglob("*.py") for name in COMMAND.findall(path.read_text())}

    assert named - set(command.commands) == set()
    assert {"list", "history", "put", "rotate", "rollback", "revoke", "release"} <= named


def test_every_subcommand_takes_json_and_a_configuration() -> None:
    for name, one in command.commands.items():
        options = {word for parameter in one.params for word in parameter.opts}
        assert {"--json", "--config"} <= options, name
        assert isinstance(one, click.Command)
        assert one.help, name
