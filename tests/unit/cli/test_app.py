"""The table of subcommands is true, and nothing is loaded that was not asked for."""

import subprocess
import sys

import click
import pytest

from resile.cli.app import COMMANDS, app


def leaves(command, name):
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from leaves(child, f"{name} {child.name}")
        if not command.invoke_without_command:
            return
    yield name, command


def all_commands():
    context = click.Context(app)
    for name in COMMANDS:
        yield from leaves(app.get_command(context, name), name)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_exists(name):
    assert app.get_command(click.Context(app), name) is not None


@pytest.mark.parametrize(("name", "command"), list(all_commands()))
def test_command_takes_json_and_explains_itself(name, command):
    options = {option for parameter in command.params for option in parameter.opts}

    assert "--json" in options
    assert command.help
    described = [p for p in command.params if isinstance(p, click.Option)]
    assert all(option.help for option in described)


def test_help_lists_every_command_and_exit_code(resile):
    done = resile("--help")

    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)
    assert all(f"\n    {code}  " in done.out for code in range(7))


def test_bare_command_shows_the_help(resile):
    assert "Commands:" in resile().out


def test_version_is_told(resile):
    from resile import __version__

    assert __version__ in resile("--version").out


HEAVY = ("asyncio", "fastapi", "pydantic", "rich", "resile.web", "sqlite3", "yaml")


def loaded_by(code, cwd):
    check = f"import sys\n{code}\nprint(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=cwd, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_status_loads_nothing_heavy(daemon, places):
    code = "from resile.cli.main import run\nassert run(['status', '--json']) == 0"

    assert loaded_by(code, places.config.parent) == []


def test_status_without_daemon_loads_nothing_heavy(places):
    code = "from resile.cli.main import run\nassert run(['status']) == 6"

    assert loaded_by(code, places.config.parent) == []


def test_library_loads_nothing_heavy(tmp_path):
    assert loaded_by("import resile", tmp_path) == []


def test_library_loads_nothing_that_is_not_installed(tmp_path):
    """Without site-packages there is no click; the command says what to install."""
    import resile

    source = resile.__file__.rpartition("/resile/")[0]
    code = f"import sys; sys.path.insert(0, {source!r}); from resile.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 1
    assert "pip install 'resile[daemon]'" in done.stderr
    assert "Traceback" not in done.stderr
