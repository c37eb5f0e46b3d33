"""The program of the format's page restores from a store, with nothing of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.comparing import compare
from tests.support.storing import flip, made

from resile.store import take_snapshot
from resile.store.backends.local import LocalBackend

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "store-format.md"
LINES_MAX = 99


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= LINES_MAX, "the page promises fewer than 100 lines"
    assert "resile." not in code
    path = tmp_path / "restore.py"
    path.write_text(code)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / "text").write_text("words and more words\n" * 500)
    (folder / "empty").touch()
    (folder / "below" / "noise").write_bytes(os.urandom(3 << 20))
    (folder / os.fsdecode(b"\xff odd\n name")).write_bytes(b"odd")
    (folder / "below" / "deeper" / "link").symlink_to(os.fsdecode(b"nowhere/\xff"))
    with (folder / "holes").open("wb") as file:
        file.seek(5 << 20)
        file.write(b"data")
        file.truncate(9 << 20)
    (folder / "text").chmod(0o640)
    (folder / "below").chmod(0o750)
    os.utime(folder / "text", ns=(1, 10**18 + 1))
    os.utime(folder / "below" / "deeper", ns=(1, -(10**9) + 3))
    return folder


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_documented_program_restores(source: Path, reader: Path, tmp_path: Path) -> None:
    store, target = tmp_path / "store", tmp_path / "target"
    with made(LocalBackend(store), tmp_path / "cache") as repository:
        snapshot = take_snapshot(repository, source).snapshot
        link = source / "below" / "deeper" / "link"

    done = run(reader, store, snapshot.snapshot_id, target)

    assert (done.returncode, done.stderr) == (0, "")
    # A link's own time is the one thing of these entries that the program leaves out.
    moment = link.lstat().st_mtime_ns
    os.utime(target / "below" / "deeper" / "link", ns=(moment, moment), follow_symlinks=False)
    assert compare(source, target) == []
    assert (target / "holes").stat().st_blocks * 512 < 1 << 20


def test_the_documented_program_finds_damage(source: Path, reader: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with made(LocalBackend(store), tmp_path / "cache") as repository:
        snapshot = take_snapshot(repository, source).snapshot
    for pack in (store / "packs").iterdir():
        flip(pack, 8 * 200)

    done = run(reader, store, snapshot.snapshot_id, tmp_path / "target")

    assert done.returncode == 1
    assert "is damaged" in done.stderr
