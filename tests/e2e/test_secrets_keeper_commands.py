"""`resile secrets` as a user types it while a daemon runs: the keeper is asked, and services follow."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import RESILE, System, command_of, system
from tests.support.secret_typing import Typed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("secret-commands"),
]

WORD = "sentinel-4711-value"
DEADLINE_S = 30.0
READER = """
import os, signal, sys, time
import resile

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    try:
        seen = resile.secret("db/password").version
    except resile.errors.ResileError as exc:
        seen = type(exc).__name__
    with open("seen.new", "w") as out:
        out.write(seen)
    os.replace("seen.new", "seen")
    time.sleep(0.05)
"""
STUCK = """
import os, signal, time
import resile

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
kept = resile.secret("api/key")
open("stuck", "w").close()
while True:
    time.sleep(60)
"""
ASKER = f"""
import subprocess, time
done = subprocess.run(["{RESILE}", "secrets", "get", "api/key"], cwd="/", capture_output=True, text=True)
with open("asked.new", "w") as out:
    out.write(f"{{done.returncode}} {{done.stdout}} {{done.stderr}}")
import os
os.replace("asked.new", "asked")
time.sleep(3600)
"""
SECRETS = """
[secret."db/password"]
services = ["reader"]
rotator = { kind = "random" }
[secret."api/key"]
services = ["stuck"]
rotator = { kind = "random" }
deadline = "500ms"
"""


@pytest.fixture(scope="module")
def sut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system(tmp_path_factory.mktemp("system")) as made:
        for name, code in (("reader", READER), ("stuck", STUCK), ("asker", ASKER)):
            made.command_service(name, code)
        made.sections.append(SECRETS)
        made.up()
        # What a random rotator makes has a value soon after the start.
        made.wait("the first versions", lambda: is_at_rest(made.get("/api/secrets")))
        yield made


def is_at_rest(overview: Any) -> bool:
    rows = overview["secrets"]
    return bool(rows) and all(row["version"] and row["rotation"] is None for row in rows)


@pytest.fixture
def typed(
    sut: System, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Typed:
    monkeypatch.chdir(sut.folder)
    for name in [name for name in os.environ if name.startswith("RESILE_")]:
        monkeypatch.delenv(name)
    return Typed(sut.folder, capfdbinary, monkeypatch)


def wait_seen(typed: Typed, what: str) -> None:
    """Wait until the service has seen this version, or this error."""
    path = typed.folder / "seen"
    wait_for(path)
    deadline = time.monotonic() + DEADLINE_S
    while path.read_text() != what and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.read_text() == what


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


def current(typed: Typed, name: str) -> str:
    return str(typed.json("get", name)["version"])


def test_what_is_written_is_read_listed_and_given_to_its_service(typed: Typed) -> None:
    put = typed.done("put", "db/password", stdin=WORD.encode())
    got = typed.done("get", "db/password")
    version = current(typed, "db/password")
    rows = {row["name"]: row for row in typed.json("list")["secrets"]}

    assert got.raw == WORD.encode()
    assert put.out == f"db/password: version {version} is current\n"
    assert "no daemon" not in put.err + got.err
    assert rows["db/password"]["version"] == version
    assert rows["db/password"]["services"] == ["reader"]
    wait_seen(typed, version)
    assert "service/reader" in typed.done("access", "db/password").out
    assert WORD not in typed.done("list").out


def test_mistakes_are_told_as_without_a_daemon(typed: Typed) -> None:
    typed.refused("get", "db/pasword", code=2, says="no secret", hint="'db/password'")
    typed.refused("rotate", "db/pasword", code=2, says="no secret", hint="'db/password'")
    typed.refused("history", "other", code=2, says="no secret", hint="resile secrets list")
    typed.refused(
        *("put", "db/password", "--expect", "99"), code=7, says="99", hint="db", stdin=b"x"
    )


def test_rotation_is_followed_until_its_service_has_moved_on(typed: Typed) -> None:
    typed.put("db/password", WORD)
    wait_seen(typed, current(typed, "db/password"))

    done = typed.done("rotate", "db/password")

    steps = [line.split()[0] for line in done.err.splitlines() if " after " in line]
    assert steps == ["prepared", "set", "verified", "promoted", "drained", "retired"]
    wait_seen(typed, current(typed, "db/password"))
    (last, *_) = typed.json("list")["rotations"]
    assert (last["name"], last["outcome"], last["cut"]) == ("db/password", "rotated", [])


def test_consumer_that_holds_on_is_waited_for_and_cut_off_on_a_compromise(typed: Typed) -> None:
    wait_for(typed.folder / "stuck")
    before = current(typed, "api/key")

    waits = typed("rotate", "api/key", "--timeout", "500ms", "--json")
    assert (waits.code, waits.data["outcome"]) == (1, None)
    assert [label.split()[0] for label in waits.data["waits_for"]] == ["stuck"]
    assert "it waits for stuck" in typed.done("list").out
    begun = typed("rotate", "api/key", "--no-wait")
    assert begun.code == 7, "it is open already"
    assert typed.value("api/key", "--version", before), "the old one is valid still"

    cut = typed.done("rotate", "api/key", "--compromise", "--why", "INC-1")

    assert "cut off, as it had not taken the new one in time: stuck" in cut.out
    assert typed("get", "api/key", "--version", before).code == 3


def test_value_before_comes_back_by_a_rollback(typed: Typed) -> None:
    typed.put("db/password", WORD)
    typed.put("db/password", "another")

    rolled = typed.json("rollback", "db/password", "--yes")

    assert typed.value("db/password") == WORD
    wait_seen(typed, rolled["version"])


def test_client_that_is_cut_off_gets_nothing_until_it_is_released(typed: Typed) -> None:
    typed.put("db/password", WORD)
    wait_seen(typed, current(typed, "db/password"))

    typed.done("quarantine", "service/reader", "--why", "INC-2")

    wait_seen(typed, "SecretDeniedError")
    assert "service/reader gets no secrets" in typed.done("list").out
    assert typed("doctor").code == 1
    typed.done("release", "service/reader")
    wait_seen(typed, current(typed, "db/password"))


def test_service_is_told_which_secret_is_not_its_own(typed: Typed) -> None:
    wait_for(typed.folder / "asked")

    code, _, told = (typed.folder / "asked").read_text().partition(" ")

    assert code == "3"
    assert "not granted" in told
    assert '[secret."api/key"] services = ["asker"]' in told


def test_another_master_key_is_made_while_services_run(typed: Typed) -> None:
    key = typed.folder / ".resile" / "secrets" / "master.key"
    before = key.read_bytes()
    typed.put("db/password", WORD)

    typed.done("rekey")

    assert key.read_bytes() != before
    assert typed.value("db/password") == WORD


def test_value_is_in_no_command_line_and_no_file(typed: Typed, sut: System) -> None:
    typed.put("db/password", WORD)
    typed.value("db/password")

    lines = [command_of(pid) for pid in sut.processes()]
    files = [path for path in sut.state_dir().rglob("*") if path.is_file()]

    assert lines
    assert WORD.encode() not in b"".join(lines)
    assert [path for path in files if WORD.encode() in path.read_bytes()] == []
