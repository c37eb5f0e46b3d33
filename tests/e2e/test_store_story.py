"""What a command does to a system's own store is in its journal; to another store, it is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RESILE = str(Path(sys.executable).with_name("resile"))


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system that was up once: it has a journal."""
    (tmp_path / "resile.toml").write_text('[store]\nplace = "store"\n')
    (tmp_path / ".resile" / "journal").mkdir(parents=True)
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "file").write_text("text")
    return tmp_path


def test_damage_and_its_mending_are_told(system: Path) -> None:
    run(system, "snapshot", "kb")
    run(system, "replicate", "--to", "second")
    pack = next((system / "store" / "packs").iterdir())
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.write_bytes(data)

    run(system, "repair", "--from", "second")

    kinds = [event["kind"] for event in events(system)]
    assert "store.replicated" in kinds
    assert kinds[-3:] == ["store.damaged", "store.mended", "store.verified"]


def test_another_store_is_none_of_its_business(system: Path) -> None:
    run(system, "snapshot", "kb", "--store", "elsewhere")
    run(system, "verify", "--store", "elsewhere")

    assert list((system / ".resile" / "journal").iterdir()) == []


def test_answer_that_cannot_be_written_is_no_mistake_of_ours(system: Path) -> None:
    run(system, "snapshot", "kb")

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [RESILE, "snapshots"],
            cwd=system,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "XDG_CACHE_HOME": str(system / "cache"), "PYTHONUNBUFFERED": "1"},
        )

    assert done.returncode == 1
    assert "could not be written: No space left on device" in done.stderr
    assert "mistake" not in done.stderr


def run(system: Path, *words: str) -> str:
    env = {**os.environ, "XDG_CACHE_HOME": str(system / "cache")}
    done = subprocess.run(
        [RESILE, *words],
        cwd=system,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def events(system: Path) -> list[dict[str, str]]:
    data = json.loads(run(system, "events", "--json"))
    return data["events"] if isinstance(data, dict) else data
