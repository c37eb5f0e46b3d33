"""An emergency stop holds runs first, and lets nothing keep it from the rest."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resile.chaos import EndedBy, Ending, UndoRecord
from resile.contain import Hold, Runs, held, hold_runs
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import EmergencyCarriedOut, Payload, RunsHeld
from resile.core.switches import Emergency
from resile.daemon import emergency
from resile.daemon.emergency import carry_out
from resile.errors import OperationError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STOP = Emergency(at=NOW, who="ann", why="an intruder")


class Ledger:
    """Faults that are active."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults

    def records(self) -> tuple[Any, ...]:
        return tuple(
            UndoRecord(
                fault_id=fault,
                fault=fault,
                target="",
                arguments={},
                facts={},
                ttl_s=1.0,
                until_s=1.0,
                boot_id="b",
                begun_at=NOW,
                who="bob",
            )
            for fault in self.faults
        )


class ChaosHost:
    """A machine of which only the faults matter."""

    def __init__(self, *faults: str) -> None:
        self.ledger = Ledger(*faults)


def stop(folder: Path, told: list[Payload]) -> EmergencyCarriedOut:
    return carry_out(
        STOP,
        state=folder / "state",
        root=folder,
        runs=folder / "runs",
        tell=told.append,
        clock=SYSTEM_CLOCK,
    )


def test_new_runs_are_held_and_that_is_told_once(tmp_path: Path) -> None:
    told: list[Payload] = []

    first, second = stop(tmp_path, told), stop(tmp_path, told)

    hold = held(Runs(tmp_path / "runs"))
    assert hold is not None
    assert (hold.who, hold.why) == ("ann", "emergency stop: an intruder")
    assert told == [RunsHeld(who="ann", why="emergency stop: an intruder")]
    assert first == second == EmergencyCarriedOut(killed=0, undone=0)


def test_hold_of_somebody_else_is_kept(tmp_path: Path) -> None:
    hold_runs(Runs(tmp_path / "runs"), Hold(who="bob"))

    stop(tmp_path, [])

    assert held(Runs(tmp_path / "runs")) == Hold(who="bob")


def test_what_cannot_be_done_is_told_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").write_bytes(b"no folder")
    done = []

    def take_back(record: UndoRecord, _host: object, **_: object) -> Ending:
        done.append(record.fault)
        if record.fault == "fails":
            raise OperationError("it fails")
        is_gone = record.fault == "ends"
        return Ending(
            fault_id="f", by=EndedBy.OPERATOR, why="", is_gone=is_gone, detail="it is there"
        )

    monkeypatch.setattr(emergency, "take_back", take_back)
    monkeypatch.setattr(
        emergency, "open_host", lambda *_a, **_k: ChaosHost("fails", "stays", "ends")
    )
    monkeypatch.setattr(Runs, "records", lambda _: iter(()))
    monkeypatch.setattr(emergency, "held", lambda _: None)

    found = stop(tmp_path, [])

    assert sorted(done) == ["ends", "fails", "stays"]
    assert found.undone == 1
    first, *rest = found.problems
    assert first.startswith("new runs are not held")
    assert rest == ["fails: it fails", "stays goes on: it is there"]
