"""Errors become words and exit codes in one place."""

import subprocess
import sys

import pytest

from resile.cli import app as app_module
from resile.cli.main import run
from resile.errors import JournalBrokenError


@pytest.fixture
def failing(monkeypatch):
    def make(error):
        def invoke(_arguments):
            raise error

        monkeypatch.setattr(app_module, "invoke", invoke)

    return make


def test_error_is_told_with_its_hint_on_stderr(resile):
    done = resile("statsu")

    assert done.code == 2
    assert done.out == ""
    assert done.err == "error: there is no command 'statsu'\nhint: did you mean `resile status`?\n"


def test_word_like_no_command_is_sent_to_the_list(resile):
    assert "`resile --help` lists them" in resile("xyzzy").err


def test_error_is_json_on_stdout_when_json_was_asked_for(resile):
    done = resile("status", "--json")

    assert done.code == 6
    assert done.err == ""
    assert done.data["hint"] == "start it with `resile up`"
    assert done.data["exit_code"] == 6


def test_every_problem_is_a_line(resile, places):
    places.config.write_text("[resile]\nnmae = 1\n[servce]\n")

    done = resile("config", "check")
    as_json = resile("config", "check", "--json")

    assert done.code == as_json.code == 2
    assert [line.strip() for line in done.err.splitlines()[1:3]] == as_json.data["problems"]


def test_wrong_option_is_the_users_mistake(resile):
    done = resile("status", "--jsn")

    assert done.code == 2
    assert "--jsn" in done.err
    assert "`resile status --help` tells more" in done.err


def test_broken_chain_tells_its_sequence_number(failing, capsys):
    failing(JournalBrokenError("broken", seq=7))

    assert run(["journal", "verify", "--json"]) == 5
    assert '"seq": 7' in capsys.readouterr().out


@pytest.mark.parametrize("name", ["click", "pydantic_core.core_schema", "rich"])
def test_missing_package_gives_the_exact_install_line(failing, capsys, name):
    failing(ModuleNotFoundError("no", name=name))

    assert run(["up"]) == 1
    assert "hint: pip install 'resile[daemon]'\n" in capsys.readouterr().err


def test_missing_module_of_ours_is_a_mistake_of_ours(failing, capsys):
    failing(ModuleNotFoundError("no", name="resile.nowhere"))

    assert run(["up"]) == 1
    assert "mistake in resile itself" in capsys.readouterr().err


@pytest.mark.parametrize("debug", ["", "1"])
def test_traceback_is_shown_only_when_asked_for(failing, capsys, monkeypatch, debug):
    monkeypatch.setenv("RESILE_DEBUG", debug)
    failing(KeyError("x"))

    assert run(["up"]) == 1

    said = capsys.readouterr().err
    assert "error: unexpected KeyError: 'x'" in said
    assert ("Traceback" in said) == bool(debug)


def test_interrupt_ends_quietly(failing, capsys):
    failing(KeyboardInterrupt())

    assert run(["events", "-f"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("word", "code", "stdout", "stderr"),
    [("nonsense", 2, "", "nonsense"), ("--version", 0, "resile, version", "")],
)
def test_main_leaves_with_the_code_and_loses_no_output(word, code, stdout, stderr):
    """In a process of its own: it leaves without taking the interpreter apart."""
    done = subprocess.run(
        [sys.executable, "-c", "from resile.cli.main import main; main()", word],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == code
    assert stdout in done.stdout
    assert stderr in done.stderr
