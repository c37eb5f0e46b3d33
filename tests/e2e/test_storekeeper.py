"""A real daemon keeps a store by itself: what is damaged is mended, and the story of it is told."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import System, command_of, system
from tests.support.storing import files_of, flip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        (tmp_path / "kb").mkdir()
        for number in range(20):
            (tmp_path / "kb" / f"note{number}").write_bytes(os.urandom(2000))
        made.sections.append(
            '[store]\nplace = "store"\nreplica = "replica"\n'
            '[snapshot.kb]\nfolder = "kb"\nevery = "10s"\n'
        )
        made.write()
        yield made


def events(sut: System, kind: str) -> list[dict[str, Any]]:
    done = sut.resile("events", "--json", "--limit", "1000", "--kind", kind)
    found: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return found


def keepers(sut: System) -> list[int]:
    found = []
    for pid in sut.processes():
        words = command_of(pid).split(b"\0")
        if b"resile.daemon.storekeeper" in words:
            found.append(pid)
    return found


def test_flipped_bit_is_mended_by_itself_and_is_one_incident(sut: System) -> None:
    assert sut.resile("snapshot", "kb").returncode == 0
    assert sut.resile("replicate").returncode == 0
    pack = files_of(sut.folder / "store")[1]
    before = pack.read_bytes()
    flip(pack, 500)

    sut.up()

    sut.wait("mended", lambda: content_of(pack) == before)
    sut.wait(
        "over", lambda: [i["state"] for i in sut.incidents()] in (["monitoring"], ["resolved"])
    )
    (incident,) = sut.incidents()
    assert incident["severity"] == "P3"
    assert "is mended, from: replica" in str(incident["timeline"])
    (damaged,) = events(sut, "store.damaged")
    (mended,) = events(sut, "store.mended")
    assert damaged["body"]["file"] == mended["body"]["file"] == f"packs/{pack.name}"
    assert mended["body"]["origin"] == "replica"
    assert sut.resile("verify", "--data").returncode == 0


def test_keeper_serves_the_command_and_comes_back_when_it_is_killed(sut: System) -> None:
    sut.up()
    sut.wait("a snapshot", lambda: events(sut, "snapshot.taken"))
    (sut.folder / "kb" / "note0").write_text("new")

    done = sut.resile("snapshot", "kb", "--tag", "mine", "--json")

    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert (taken["is_changed"], taken["tags"]) == (True, ["mine"])
    assert taken["id"] in {e["body"]["snapshot_id"] for e in events(sut, "snapshot.taken")}
    (pid,) = keepers(sut)

    os.kill(pid, signal.SIGKILL)

    sut.wait("another keeper", lambda: [p for p in keepers(sut) if p != pid])
    sut.wait("another snapshot", lambda: len(events(sut, "snapshot.taken")) > 2)
    assert sut.resile("verify", "--data").returncode == 0
    assert sut.resile("down").returncode == 0
    assert keepers(sut) == []


def content_of(path: Path) -> bytes:
    """Read a file that may be on its way to quarantine at this moment."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
