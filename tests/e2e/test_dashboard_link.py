"""The link that `resile dashboard` prints, and what services are told, with a real daemon."""

import json
import os
import signal
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import System, system

ENVIRONMENT = """
import json, os, time
with open("environment.tmp", "w") as file:
    json.dump(dict(os.environ), file)
os.rename("environment.tmp", "environment.json")
time.sleep(3600)
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        made.command_service("teller", ENVIRONMENT)
        made.up()
        yield made


def decide(daemon: System, token: str) -> int:
    """Try to kill a run that is not there; give the status of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}/api/runs/run_NOBODY/kill",
        method="POST",
        headers={"X-Resile-Token": token},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()
    return caught.value.code


def test_the_link_has_the_token_and_the_token_lives_as_long_as_the_daemon(daemon: System) -> None:
    path = daemon.state_dir() / "run" / "token"
    printed = daemon.resile("dashboard").stdout.strip()
    address, _, token = printed.partition("#token=")

    assert address == f"http://127.0.0.1:{daemon.port}/runs"
    assert json.loads(daemon.resile("dashboard", "--json").stdout) == {"url": printed}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert decide(daemon, token) == 404
    assert decide(daemon, token + "x") == 403
    assert decide(daemon, "") == 403
    assert daemon.get("/api/store")["trouble"]["kind"] == "missing"

    brain = daemon.status()["brain"]["pid"]
    os.kill(brain, signal.SIGKILL)
    daemon.wait("a new brain", lambda: daemon.status()["brain"]["pid"] != brain)
    assert decide(daemon, token) == 404

    daemon.resile("down")
    assert not path.exists()
    assert daemon.resile("dashboard").returncode == 6


def test_a_service_is_told_where_the_state_and_the_configuration_are(daemon: System) -> None:
    path = daemon.folder / "environment.json"
    daemon.wait("the service", path.exists)

    told = json.loads(path.read_text())

    assert told["RESILE_STATE_DIR"] == str(daemon.state_dir().resolve())
    assert told["RESILE_CONFIG_FILE"] == str((daemon.folder / "resile.toml").resolve())
