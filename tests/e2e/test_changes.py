"""Going back to any moment between two snapshots, as a user types it."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.storing import flip
from tests.support.trees import Snapshot, differences, snapshot

pytestmark = pytest.mark.needs_cgroups
RESILE = Path(sys.executable).with_name("resile")
CONFIG = '[snapshot.kb]\nfolder = "kb"\n'


class Shell:
    """A folder with a system, in which a user types."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "system"
        self.kb = self.folder / "kb"
        (self.kb / "sub").mkdir(parents=True)
        (self.folder / "resile.toml").write_text(CONFIG)
        (self.kb / "a").write_text("old\n")
        (self.kb / "gone").write_text("gone\n")
        (self.kb / "sub/b").write_text("b\n")
        own = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        self.env = {
            **own,
            "RESILE_RUNS_DIR": str(folder / "runs"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def __call__(self, *words: object, code: int = 0) -> str:
        """Type a command; give all that it said."""
        done = subprocess.run(
            [RESILE, *map(str, words)],
            cwd=self.folder,
            env=self.env,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def run(self, script: str) -> tuple[str, Snapshot]:
        """Run a script that commits; give a time right after it, and what is there then."""
        self("run", "-w", "kb", "--", "sh", "-c", f"cd kb && {script}")
        return datetime.now(UTC).isoformat(), snapshot(self.kb)

    def log(self) -> Path:
        (place,) = (self.folder / ".resile" / "changes").iterdir()
        return place / "log"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_each_moment_between_two_snapshots_comes_back(shell: Shell) -> None:
    """And in the end, with a damaged log, those before the damage."""
    shell("snapshot", "kb")
    start_at, start = datetime.now(UTC).isoformat(), snapshot(shell.kb)
    first_at, first = shell.run(
        "echo new >> a; rm gone; mv sub moved; ln -s a link; head -c 2000000 /dev/urandom > big"
    )
    segment = next(shell.log().glob("0*.log"))
    size = segment.stat().st_size
    second_at, second = shell.run("chmod 600 big; rm -r moved; mkdir -p x/y; echo z > x/y/z")
    shell("snapshot", "kb")

    listed = shell("changes", "kb", "--since", start_at)
    assert ("+ link" in listed, "- gone" in listed, "- moved" in listed) == (True, True, True)
    said = shell("restore", "--at", start_at, "--to", "start")
    assert "the log has no changes after it" in said
    assert differences(start, snapshot(shell.folder / "start")) == []

    told = json.loads(shell("restore", "--at", first_at, "--to", "first", "--json"))
    assert differences(first, snapshot(shell.folder / "first")) == []
    assert (len(told["replayed"]), told["problem"], told["gap"]) == (1, "", "")
    assert told["replayed"][0]["who"].startswith("run_")
    assert told["until"] == told["replayed"][0]["committed_at"] < first_at

    said = shell("restore", "--at", second_at, "--to", "second", "latest", "x")
    assert "replayed from its log: 2 commits" in said
    assert (shell.folder / "second/x/y/z").read_text() == "z\n"

    said = shell("restore", "--at", first_at, "--in-place", "--dry-run")
    assert ("+ moved/b" in said, "- x/y/z" in said, "m big" in said) == (True, True, True)
    assert differences(second, snapshot(shell.kb)) == []
    shell("restore", "--at", first_at, "--in-place")
    assert differences(first, snapshot(shell.kb)) == []
    restored_at = datetime.now(UTC).isoformat()
    assert "  restore  " in shell("changes", "kb")
    shell("restore", "--at", restored_at, "--to", "restored")
    assert differences(first, snapshot(shell.folder / "restored")) == []

    flip(segment, (size + 100) * 8)
    said = shell("restore", "--at", second_at, "--to", "damaged", code=8)
    assert "replayed from its log: 1 commit," in said
    assert "not replayed any further: segment" in said
    assert differences(first, snapshot(shell.folder / "damaged")) == []
    assert "the log ends here: segment" in shell("changes", "kb", code=8)


def test_what_could_not_be_noted_is_noted_by_recover(shell: Shell) -> None:
    shell("snapshot", "kb")
    hindrance = shell.log()
    hindrance.write_text("no folder")
    shell.run("echo first > a")
    said = shell("run", "-w", "kb", "--commit", "ask", "--", "sh", "-c", "echo second > kb/gone")
    shell("commit", re.findall(r"resile commit (run_\w+)", said)[0])
    at = datetime.now(UTC).isoformat()
    assert (shell.kb / "a").read_text() == "first\n"
    assert (shell.kb / "gone").read_text() == "second\n"
    hindrance.unlink()

    assert shell("recover").count("finished: its commit is in place") == 2
    expected = snapshot(shell.kb)

    shell("restore", "--at", at, "--to", "restored")
    assert differences(expected, snapshot(shell.folder / "restored")) == []


def test_folder_without_a_log_says_so(shell: Shell) -> None:
    (shell.folder / "resile.toml").write_text(f"{CONFIG}log = false\n")
    shell("snapshot", "kb")
    at = datetime.now(UTC).isoformat()

    assert "its folder has no log" in shell("restore", "--at", at, "--to", "restored")
    assert "has no log of changes" in shell("changes", "kb", code=2)
