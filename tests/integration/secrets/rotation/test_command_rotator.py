"""A program that rotates: what it gets, what of it is shown, and that nothing of it is left."""

import base64
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason
from resile.errors import OperationError, SpawnError
from resile.secrets import VALUE_BYTES_MAX, Secret, Turn
from resile.secrets.rotators.command import CommandRotator

SENTINEL = "s3ntinel-of-the-old-one"
TURN = Turn(
    rotation_id="rotation_1",
    name="api/key",
    reason=RotationReason.MANUAL,
    before=Secret("api/key", "7", json.dumps({"password": SENTINEL}).encode()),
    after=Secret("api/key", "8", bytes(range(256))),
)


def rotator(program: str, *arguments: str, timeout_s: float = 20.0) -> CommandRotator:
    command = (sys.executable, "-I", "-c", program, *arguments)
    return CommandRotator(command, timeout_s=timeout_s, clock=SYSTEM_CLOCK)


def test_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SpawnError):
        CommandRotator(("/no/such/program",)).set(TURN)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; sys.exit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ],
)
def test_program_that_fails_is_tried_again(program: str, message: str) -> None:
    with pytest.raises(OperationError, match=message) as caught:
        rotator(program).set(TURN)

    assert caught.value.is_transient


def test_only_what_it_says_to_people_is_shown_and_no_value() -> None:
    program = (
        f"import sys; print('{SENTINEL}'); print('{SENTINEL}', file=sys.stderr);"
        f"print('resile: role {SENTINEL} is locked ' + 'x' * 9999); sys.exit(1)"
    )

    with pytest.raises(OperationError) as caught:
        rotator(program).set(TURN)

    assert "role ******** is locked" in caught.value.message
    assert SENTINEL not in caught.value.message + caught.value.hint
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "said",
    [
        "turn['before']['value_base64']",
        "turn",
        "json.dumps(json.dumps(turn))",
        "turn['after']['value'].splitlines()[1]",
        "candidate",
    ],
)
def test_no_value_is_shown_in_whatever_form_it_is_said(said: str) -> None:
    key = "-----BEGIN KEY-----\nMIIs3ntinelAAAA\nMIIs3ntinelBBBB\n-----END KEY-----\n"
    turn = replace(TURN, after=Secret("api/key", "8", key.encode()))
    program = (
        "import json, sys; turn = json.load(sys.stdin); candidate = 's3ntinel-of-the-new-one';"
        f"print(candidate); print('resile: no', {said}); sys.exit(1)"
    )

    with pytest.raises(OperationError, match=": no ") as caught:
        rotator(program).prepare(turn)

    shown = caught.value.message + caught.value.hint
    assert "s3ntinel" not in shown
    assert base64.b64encode(SENTINEL.encode()).decode()[4:-4] not in shown


@pytest.mark.parametrize("size", [0, VALUE_BYTES_MAX + 1, 10 * VALUE_BYTES_MAX])
def test_candidate_that_no_provider_could_keep_is_an_error(size: int) -> None:
    with pytest.raises(OperationError, match="prepare wrote"):
        rotator(f"import sys; sys.stdout.write('x' * {size})").prepare(TURN)


def test_candidate_is_what_it_writes_without_one_line_end() -> None:
    assert rotator("print('one\\ntwo\\n')").prepare(TURN) == b"one\ntwo\n"
    assert len(rotator(f"print('x' * {VALUE_BYTES_MAX})").prepare(TURN)) == VALUE_BYTES_MAX


def test_slow_program_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen(['sleep', '60']);"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )

    with pytest.raises(OperationError, match="took longer than 1 s, and was killed"):
        rotator(program, timeout_s=1.0).set(TURN)

    pid = int(pid_file.read_text())
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() or b") Z " in Path(f"/proc/{pid}/stat").read_bytes():
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        pytest.fail("its child lives on")


def test_turn_comes_on_standard_input_and_no_value_anywhere_else(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    program = (
        "import json, os, pathlib, sys;"
        f"pathlib.Path({str(told)!r}).write_text(json.dumps([json.load(sys.stdin), sys.argv[1:],"
        " dict(os.environ), pathlib.Path('/proc/self/cmdline').read_text()]))"
    )

    rotator(program, "one").verify(TURN)

    turn, arguments, environ, command_line = json.loads(told.read_text())
    assert arguments == ["one", "verify"]
    assert SENTINEL not in json.dumps(environ) + command_line
    expected: dict[str, Any] = {
        "step": "verify",
        "rotation_id": "rotation_1",
        "name": "api/key",
        "reason": "manual",
    }
    assert {key: turn[key] for key in expected} == expected
    assert json.loads(turn["before"]["value"]) == {"password": SENTINEL}
    assert turn["after"].keys() == {"version", "value_base64"}


def test_program_that_reads_nothing_is_no_trouble() -> None:
    large = Secret("api/key", "8", b"x" * VALUE_BYTES_MAX)
    turn = Turn(rotation_id="r", name="n", reason=RotationReason.MANUAL, before=large, after=large)

    rotator("pass").set(turn)
