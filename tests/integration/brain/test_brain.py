"""One life of a brain, with a guard that does what the test wants."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.braining import living, wait_until


def test_a_wanted_end_that_left_a_core_has_a_bundle(tmp_path: Path) -> None:
    """A core that no bundle names would never be removed."""

    async def scenario() -> int:
        async with living(tmp_path, '[service.a]\ncommand = ["true"]\n') as life:
            await wait_until("the start", lambda: life.recorded("process.started"))
            return await life.stop()

    assert asyncio.run(scenario()) == 0
    (bundle,) = (tmp_path / ".resile" / "crashes").glob("*.json")
    assert json.loads(bundle.read_text())["exit"]["signal"] == "SIGQUIT"


def test_checks_that_were_dropped_are_told_again_when_the_journal_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler tells each change once, and a full inbox drops it."""
    files = {name: tmp_path / name for name in ("dropped", "failing")}
    for path in files.values():
        path.touch()

    async def scenario() -> None:
        async with living(tmp_path, *map(watched, files)) as life:
            await wait_until("both are good", lambda: len(life.recorded("check.changed")) == 2)
            with monkeypatch.context() as full:
                full.setattr("resile.daemon.loop.INBOX_MAX", 0)
                files["dropped"].unlink()
                await wait_until("one is dropped", life.dropped)
            assert len(life.recorded("check.changed")) == 2

            life.journal.failures = 1
            files["failing"].unlink()
            await wait_until("both are told", lambda: len(life.recorded("check.changed")) == 4)

            told = {event.body["check"]: event.body for event in life.recorded("check.changed")}
            assert told["failing"]["after"] == "DOWN"
            again = told["dropped"]
            assert (again["before"], again["after"]) == ("UP", "DOWN")
            assert str(files["dropped"]) in again["reason"]
            assert again["began_at"] < told["failing"]["began_at"]

    asyncio.run(scenario())


def watched(name: str) -> str:
    return f'[check.{name}]\nfile = "{name}"\ninterval = "100ms"\nfall = 1\nrise = 1\n'
