"""A real brain beside contained runs of other processes."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.braining import living, wait_until
from tests.support.held import hold, tell
from tests.support.systems import service, system

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import RunEnded, RunViolated
from resile.core.journal import open_journal
from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.daemon.escapes import EscapeWatch
from resile.daemon.replay import replay


def test_runs_are_shown_decided_and_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / ".resile" / "journal"
    held = hold(tmp_path, journal=journal)
    monkeypatch.setenv("RESILE_RUNS_DIR", str(held.runs.folder))
    held.put("run_01LOST", {"a": b"1"}, state=RunState.RUNNING, is_orphan=True)
    held.put("run_01HELD", {"b": b"2"})

    async def scenario() -> tuple[list[Any], Any, Any]:
        async with living(tmp_path) as life:
            await wait_until("the sweep", lambda: life.recorded("run.rolled_back"))
            transport = httpx.AsyncHTTPTransport(uds=str(journal.parent / "run" / "resile.sock"))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                done = await client.post("/api/runs/run_01HELD/commit", json={"who": "ann"})
                shown = await client.get("/api/runs")
                status = await client.get("/api/status")
            return shown.json()["runs"], done.json(), status.json()

    shown, done, status = asyncio.run(scenario())

    assert done == {"id": "run_01HELD", "did": "committed", "changes": 1}
    assert (held.workspace / "b").read_bytes() == b"2"
    assert not (held.workspace / "a").exists()
    assert [(run["id"], run["state"], run["reason"]) for run in shown] == [
        ("run_01LOST", "discarded", "supervisor_lost"),
        ("run_01HELD", "committed", "ok"),
    ]
    assert status["http"]["host"] == "127.0.0.1"
    assert held.runs.ids() == ()


def test_records_of_runs_do_not_disturb_a_new_brain(tmp_path: Path) -> None:
    """It folds what other processes appended, and takes it for what it is: none of its business."""
    journal = tmp_path / ".resile" / "journal"
    held = hold(tmp_path, journal=journal)
    for number in range(10):
        held.put(f"run_{number}", {})

    async def scenario() -> tuple[int, list[Any]]:
        async with living(tmp_path, '[service.a]\ncommand = ["true"]\n') as life:
            await wait_until("the start", lambda: life.recorded("process.started"))
            return await life.stop(), life.recorded("incident.*")

    assert asyncio.run(scenario()) == (0, [])


def test_what_a_run_tried_becomes_an_incident_once_also_for_a_new_brain(tmp_path: Path) -> None:
    held = hold(tmp_path, journal=tmp_path / ".resile" / "journal")
    held.put("run_01EVIL", {})
    tell(
        held.journal,
        RunViolated(
            run_id="run_01EVIL",
            violation=ViolationKind.SYSCALL,
            detail="mount /dev/sda",
            pid=42,
            command="evil",
            decision="denied",
            source="seccomp",
            seen_at=SYSTEM_CLOCK.now(),
        ),
        RunEnded(
            run_id="run_01EVIL",
            reason=RunReason.VIOLATION,
            code="CRITICAL_STOP",
            detail="tried syscall mount /dev/sda; everything of it was killed",
        ),
    )

    async def scenario() -> tuple[Any, list[Any]]:
        socket = tmp_path / ".resile" / "run" / "resile.sock"
        async with living(tmp_path) as life:
            await wait_until("the incident", lambda: life.recorded("incident.opened"))
            transport = httpx.AsyncHTTPTransport(uds=str(socket))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                (incident,) = (await client.get("/api/incidents")).json()["incidents"]
            await life.stop()
            return incident, life.recorded("escape.*")

    incident, told = asyncio.run(scenario())

    assert (incident["severity"], incident["state"]) == ("P1", "monitoring")
    assert "mount /dev/sda by evil (42)" in incident["timeline"][0]["text"]
    assert len(told) == 2, "noticed and contained, once"
    with contextlib.closing(open_journal(held.journal, create=False)) as journal:
        book = replay(journal, system(service("a"))).book
        assert [known.incident_id for known in book.active()] == [incident["id"]]
        watch = EscapeWatch(journal, book, tell=_refuse)
        assert not asyncio.run(watch.look()), "a new brain has nothing to tell of it again"


async def _refuse(payloads: object) -> None:
    raise AssertionError(payloads)
