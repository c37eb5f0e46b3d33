"""`resile secrets` outside of a system, from a service, and on a terminal; no daemon runs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.secret_typing import DEADLINE_S, RESILE, Terminal, Typed
from tests.unit.cli.conftest import FakeDaemon, pretend_guard, serving

from resile.cli.places import find_places

WORD = "sentinel-4711-value"


@pytest.fixture
def typed(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Typed:
    (tmp_path / "resile.toml").touch()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RESILE_")]:
        monkeypatch.delenv(name)
    return Typed(tmp_path, capfdbinary, monkeypatch)


# Where secrets are --------------------------------------------------------------------------------


def test_without_a_system_the_variable_says_where_they_are(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (typed.folder / "resile.toml").unlink()
    typed.refused("get", "a", code=2, says="no resile.toml", hint="RESILE_SECRETS")
    monkeypatch.setenv("RESILE_SECRETS", "env:APP_")
    monkeypatch.setenv("APP_KEY", WORD)

    assert typed.value("key") == WORD
    assert [row["name"] for row in typed.json("list")["secrets"]] == ["key"]
    assert typed.json("doctor")["findings"] == []
    assert len(typed.json("history", "key")["versions"]) == 1
    typed.refused("put", "key", code=2, says="takes no new values", hint="local", stdin=b"x")
    typed.refused("rotate", "key", code=2, says="rotates nothing", hint="resile.toml")
    typed.refused("access", code=2, says="without a record", hint="resile init")


def test_process_of_a_service_finds_its_system_from_anywhere(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    typed.put("a", WORD)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    monkeypatch.setenv("RESILE_STATE_DIR", str(typed.folder / ".resile"))
    assert typed.value("a") == WORD
    monkeypatch.setenv("RESILE_CONFIG_FILE", str(typed.folder / "resile.toml"))
    assert typed.value("a") == WORD


def test_daemon_that_keeps_no_secrets_is_passed_over(typed: Typed) -> None:
    places = find_places(None)
    pretend_guard(places)
    daemon = FakeDaemon()
    provider = {"kind": "", "is_well": True, "reason": ""}
    daemon.routes["GET", "/api/secrets"] = (200, {"provider": provider})

    with serving(daemon, places.socket):
        put = typed.done("put", "a", stdin=WORD.encode())

    assert "the provider local is asked directly" in put.err


def test_keeper_that_does_not_answer_is_never_passed_over(typed: Typed) -> None:
    typed.put("a", WORD)
    places = find_places(None)
    pretend_guard(places)
    (places.run / "secrets.sock").touch()

    done = typed("get", "a")

    assert (done.code, done.raw) == (9, b"")
    assert "not to be reached" in done.err
    assert "hint: " in done.err


def test_daemon_whose_brain_is_away_is_told(typed: Typed) -> None:
    places = find_places(None)
    pretend_guard(places)
    daemon = FakeDaemon()
    daemon.routes["GET", "/api/secrets"] = (500, {"error": "it fails", "hint": "look"})

    with serving(daemon, places.socket):
        typed.refused("list", code=1, says="it fails", hint="look")


def test_shell_completes_names(typed: Typed) -> None:
    for name in ("db/password", "db/user", "api/key"):
        typed.put(name, WORD)

    assert completed(typed, "get db/") == ["plain,db/password", "plain,db/user"]
    (typed.folder / "resile.toml").write_text("[[wrong")
    assert completed(typed, "get db/") == []


def completed(typed: Typed, words: str) -> list[str]:
    environ = {
        **os.environ,
        "_RESILE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"resile secrets {words}",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [RESILE], cwd=typed.folder, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


# With a terminal ----------------------------------------------------------------------------------


@pytest.fixture
def terminal(typed: Typed) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*words: str) -> Terminal:
        opened.append(Terminal(typed.folder, *words))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_value_is_typed_twice_without_echo_and_shown_only_when_wanted(
    typed: Typed, terminal: Callable[..., Terminal]
) -> None:
    put = terminal("put", "a")
    put.wait_for("value of a: ")
    put.type(f"{WORD}\n")
    put.wait_for("the same again: ")
    put.type(f"{WORD}\n")
    assert put.end() == 0
    assert WORD not in put.seen

    hidden = terminal("get", "a")
    assert hidden.end() == 3
    assert "--show" in hidden.seen
    assert WORD not in hidden.seen
    assert typed.events("secret.accessed") == []

    shown = terminal("get", "a", "--show")
    assert shown.end() == 0
    assert f"{WORD}\r\n" in shown.seen


def test_ctrl_c_while_it_asks_writes_nothing(
    typed: Typed, terminal: Callable[..., Terminal]
) -> None:
    put = terminal("put", "a")
    put.wait_for("value of a: ")
    put.type("\x03")

    assert put.end() == 130
    assert "Traceback" not in put.seen
    assert not (typed.folder / ".resile").exists()


def test_asked_question_is_answered(typed: Typed, terminal: Callable[..., Terminal]) -> None:
    typed.put("a", "one")
    typed.put("a", "two")

    asked = terminal("rollback", "a")
    asked.wait_for("[y/N]: ")
    asked.type("n\n")
    assert asked.end() == 3

    assert "nothing was done" in asked.seen
    assert typed.value("a") == "two"


def test_rotation_that_ctrl_c_cuts_is_gone_on_with(
    typed: Typed, terminal: Callable[..., Terminal]
) -> None:
    """The rotator hangs in its first step until a file is there; the command after it is quick."""
    program = typed.folder / "rotator.sh"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in prepare)\n'
        f"  touch {typed.folder}/hangs\n"
        f"  while [ ! -e {typed.folder}/go ]; do sleep 0.05; done\n"
        "  printf new-value-0123456789;; esac\n"
    )
    program.chmod(0o755)
    (typed.folder / "resile.toml").write_text(
        f'[secret.a]\nrotator = {{ kind = "command", command = ["{program}"] }}\n'
    )
    typed.put("a", "old")
    cut = terminal("rotate", "a")
    deadline = time.monotonic() + DEADLINE_S
    while not (typed.folder / "hangs").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    cut.type("\x03")
    assert cut.end() == 128 + signal.SIGINT
    assert "go on: resile secrets rotate a" in cut.seen
    assert typed.value("a") == "old"
    (typed.folder / "go").touch()

    assert typed.json("rotate", "a")["outcome"] == "rotated"

    assert len({one["rotation_id"] for one in typed.events("rotation.begun")}) == 1
