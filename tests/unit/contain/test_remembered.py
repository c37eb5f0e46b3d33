"""What was found about sandboxes is used again in the same situation, and in no other."""

import json
import stat
from pathlib import Path

import pytest

from resile.contain.sandboxes import (
    SandboxFacts,
    forget,
    known_facts,
    probe,
    remembered,
    sandbox_facts,
)

GOOD = SandboxFacts(launcher="native", has_overlay=True, landlock_abi=7, has_seccomp_notify=True)
LESS = SandboxFacts(launcher="native", landlock_abi=7, missing=("no overlay can be mounted",))


class Trying:
    """Counts how often it was tried, and finds what it is told to."""

    def __init__(self, found: SandboxFacts = GOOD) -> None:
        self.found = found
        self.count = 0

    def __call__(self) -> SandboxFacts:
        self.count += 1
        return self.found

    def cache_clear(self) -> None:
        """Nothing is kept here."""


@pytest.fixture
def trying(monkeypatch: pytest.MonkeyPatch) -> Trying:
    made = Trying()
    monkeypatch.setattr(probe, "sandbox_facts", made)
    return made


def kept(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "situation": {}}'],
)
def test_damaged_file_is_as_good_as_none(trying: Trying, tmp_path: Path, content: bytes) -> None:
    known_facts(tmp_path)
    kept(tmp_path).write_bytes(content)

    assert known_facts(tmp_path) == GOOD
    assert trying.count == 2


@pytest.mark.parametrize("facts", [{}, [], {"launcher": 1}, {"launcher": "native", "missing": 1}])
def test_facts_that_are_none_are_not_believed(
    trying: Trying, tmp_path: Path, facts: object
) -> None:
    known_facts(tmp_path)
    file = kept(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "facts": facts}))

    assert known_facts(tmp_path) == GOOD
    assert trying.count == 2


def test_folder_that_cannot_be_made_costs_the_memory_alone(trying: Trying, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert known_facts(tmp_path / "file" / "runs") == GOOD
    assert trying.count == 1


def test_same_situation_is_not_tried_again(trying: Trying, tmp_path: Path) -> None:
    assert known_facts(tmp_path / "runs") == known_facts(tmp_path / "runs") == GOOD
    assert trying.count == 1
    assert stat.S_IMODE(kept(tmp_path / "runs").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "found", [LESS, SandboxFacts(launcher=""), SandboxFacts(launcher="python")]
)
def test_what_lacks_something_is_tried_each_time(
    trying: Trying, tmp_path: Path, found: SandboxFacts
) -> None:
    trying.found = found

    assert known_facts(tmp_path) == known_facts(tmp_path) == found
    assert trying.count == 2
    assert list(tmp_path.iterdir()) == []


def test_another_boot_is_another_situation(
    trying: Trying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_facts(tmp_path)
    monkeypatch.setattr(remembered, "boot_id", lambda: "another")

    known_facts(tmp_path)

    assert trying.count == 2


def test_another_launcher_is_another_situation(
    trying: Trying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "launcher"
    binary.write_bytes(b"old")
    monkeypatch.setattr(remembered, "BINARY", binary)
    known_facts(tmp_path / "runs")
    binary.write_bytes(b"newer")

    known_facts(tmp_path / "runs")

    assert trying.count == 2


def test_a_switch_that_was_turned_is_another_situation(
    trying: Trying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = tmp_path / "max_user_namespaces"
    switch.write_text("100\n")
    monkeypatch.setattr(remembered, "SWITCHES", ((str(switch), "15000", "0"),))
    known_facts(tmp_path / "runs")
    switch.write_text("0\n")

    known_facts(tmp_path / "runs")

    assert trying.count == 2


def test_what_is_forgotten_is_tried_again(trying: Trying, tmp_path: Path) -> None:
    known_facts(tmp_path)

    forget(tmp_path)
    forget(tmp_path)
    known_facts(tmp_path)

    assert trying.count == 2


def test_this_machine_is_told_the_same_again(tmp_path: Path) -> None:
    assert known_facts(tmp_path) == sandbox_facts() == known_facts(tmp_path)
