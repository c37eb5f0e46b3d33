"""A real brain beside contained runs of other processes."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.braining import living, wait_until
from tests.support.held import hold

from resile.core.vocabulary import RunState


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
