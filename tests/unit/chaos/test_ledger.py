"""Undo records: durable before their fault, whole or not there, and known to every process."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.chaos.ledger import RECORDS_MAX, Ledger
from resile.chaos.model import EndedBy, Ending, UndoRecord
from resile.core.process import Identity
from resile.errors import OperationError
from resile.testing.files import Crash, FaultyFiles

RECORD = UndoRecord(
    fault_id="chaos_1",
    fault="process.hang",
    target="service/api",
    arguments={"left": 3},
    facts={"processes": [{"pid": 7}], "text": "é"},
    ttl_s=10.0,
    until_s=110.5,
    boot_id="boot",
    begun_at=datetime(2026, 1, 1, tzinfo=UTC),
    owner=Identity(boot_id="boot", pid=9, start_ticks=11),
    who="ann",
)
ENDING = Ending(fault_id="chaos_1", by=EndedBy.WATCHDOG, why="over", is_gone=True, detail="none")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "chaos")


def test_a_record_is_given_as_it_was_kept(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    ledger.begin(replace(RECORD, fault_id="chaos_0", owner=None))

    assert ledger.get("chaos_1") == RECORD
    assert [record.fault_id for record in ledger.records()] == ["chaos_0", "chaos_1"]
    assert (ledger.folder.stat().st_mode & 0o777) == 0o700


def test_what_was_never_begun_is_not_known(ledger: Ledger) -> None:
    assert ledger.get("chaos_1") is None
    assert ledger.records() == ()
    assert not ledger.is_active("chaos_1")
    assert ledger.ending("chaos_1") is None
    assert ledger.said("chaos_1") == {}
    ledger.forget("chaos_1")


def test_no_crash_leaves_half_a_record(tmp_path: Path) -> None:
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        files = FaultyFiles(crash_at=step)
        ledger = Ledger(folder, files=files)
        try:
            ledger.begin(RECORD)
        except Crash:
            files.power_cut()
            assert ledger.records() in ((), (RECORD,))
            assert ledger.unreadable() == ()
        else:
            break
    assert step > 4


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "chaos", files=FaultyFiles(fail_at=2))

    with pytest.raises(OperationError, match="could not be written"):
        ledger.begin(RECORD)
    assert ledger.records() == ()


def test_every_flipped_bit_makes_a_record_unreadable(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    path = ledger.folder / "chaos_1.json"
    data = path.read_bytes()

    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert ledger.get("chaos_1") in (None, RECORD)
        assert ledger.get("chaos_1") is None or data[at : at + 1] in b' ",'


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"version": 2}', '{"version": 1, "body": {}, "sum": ""}']
)
def test_what_is_no_record_is_listed_for_a_person(ledger: Ledger, text: str) -> None:
    ledger.begin(RECORD)
    path = ledger.folder / "chaos_2.json"
    path.write_text(text)

    assert ledger.records() == (RECORD,)
    assert ledger.unreadable() == (path,)


def test_a_record_of_another_shape_is_none(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    found = json.loads((ledger.folder / "chaos_1.json").read_text())
    del found["body"]["fault"]
    (ledger.folder / "chaos_1.json").write_text(json.dumps(found))

    assert ledger.get("chaos_1") is None


def test_a_fault_that_was_ended_is_not_active_and_its_record_stays(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    assert ledger.is_active("chaos_1")

    ledger.end(ENDING)

    assert not ledger.is_active("chaos_1")
    assert ledger.ending("chaos_1") == ENDING
    assert ledger.records() == (RECORD,)


def test_forgetting_removes_everything_of_one_fault_only(ledger: Ledger) -> None:
    other = replace(RECORD, fault_id="chaos_2")
    for record in (RECORD, other):
        ledger.begin(record)
        ledger.say(record.fault_id, {"burns": True})
        ledger.enlist(record.fault_id, 0, Identity(boot_id="boot", pid=5, start_ticks=6))
    ledger.end(ENDING)

    ledger.forget("chaos_1")
    ledger.forget("chaos_1")

    assert sorted(path.name for path in ledger.folder.iterdir()) == [
        "chaos_2.0.carrier",
        "chaos_2.json",
        "chaos_2.state",
    ]


def test_carriers_are_listed_and_a_damaged_note_is_passed_over(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    who = Identity(boot_id="boot", pid=5, start_ticks=6)
    ledger.enlist("chaos_1", 0, who)
    (ledger.folder / "chaos_1.1.carrier").write_text("{")

    assert ledger.carriers("chaos_1") == (who,)


def test_more_faults_at_once_than_anybody_means_are_refused(ledger: Ledger) -> None:
    ledger.begin(RECORD)
    for number in range(RECORDS_MAX):
        (ledger.folder / f"x{number}.json").touch()

    with pytest.raises(OperationError, match="active already"):
        ledger.begin(replace(RECORD, fault_id="chaos_2"))


def test_a_file_of_that_name_forbids_faults(ledger: Ledger) -> None:
    assert not ledger.is_stopped()
    ledger.folder.mkdir()

    (ledger.folder / "stop").touch()

    assert ledger.is_stopped()
