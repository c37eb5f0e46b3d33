"""A playbook that needs a program which is not there would be missed in need: it is told before."""

from pathlib import Path

import pytest

from resile.cli.places import find_places
from resile.cli.preflight import check_ready_to_start
from resile.core.config import load_config
from resile.errors import ConfigError

TEXT = """
[service.api]
command = ["true"]
renew = ["./renew", "api"]

[playbook.mend]
why = "Every program of it is missing."
match = { faults = ["crash"] }
verify = { within = "5s", command = ["no-such-proof"] }

[[playbook.mend.steps]]
do = "command"
command = ["true"]

[[playbook.mend.steps]]
do = "command"
command = ["no-such-tool", "--now"]

[[playbook.mend.undo]]
do = "command"
command = ["tools/undo"]
"""
PROBLEMS = [
    "service.api.renew: {folder}/renew does not exist",
    'playbook.mend.steps[1].command: "no-such-tool" is not found in PATH ({path})',
    "playbook.mend.undo[0].command: {folder}/tools/undo may not be executed (chmod +x)",
    'playbook.mend.verify.command: "no-such-proof" is not found in PATH ({path})',
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "resile.toml").write_text(TEXT)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "undo").touch(mode=0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


def expected(folder: Path) -> list[str]:
    return [line.format(folder=folder, path="/usr/bin:/bin") for line in PROBLEMS]


def test_check_tells_each_one_at_once_with_its_place(resile, folder):
    done = resile("config", "check")

    assert done.code == 2
    assert "has playbooks whose programs are not there" in done.err
    assert [line for line in expected(folder) if line not in done.err] == []


def test_nothing_is_started_with_it(folder):
    config = load_config(folder / "resile.toml", environ={})

    with pytest.raises(ConfigError) as caught:
        check_ready_to_start(config, find_places(None), environ={"PATH": "/usr/bin:/bin"})

    assert [line for line in expected(folder) if line not in caught.value.problems] == []


def test_what_is_there_is_right(resile, folder):
    text = (
        TEXT.replace("no-such-tool", "true")
        .replace("no-such-proof", "true")
        .replace("./renew", "true")
    )
    (folder / "resile.toml").write_text(text)
    (folder / "tools" / "undo").chmod(0o700)

    assert resile("config", "check").code == 0
