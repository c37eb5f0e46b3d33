import re
from pathlib import Path

import pytest
from tests.support.file_transactions import CREATE, Place, operation
from tests.support.trees import CrashingGate

from resile.errors import ConflictError, TransactionError
from resile.store.log import RecordLog
from resile.store.transactions import TransactionStatus
from resile.store.transactions.ledger import Ledger, folders_above
from resile.store.transactions.model import OPEN_TRANSACTIONS_MAX
from resile.store.transactions.reading import find_in_flight

PAGE = Path(__file__).parents[4] / "docs" / "explanation" / "transaction-log.md"


def test_nothing_comes_to_depend_on_what_is_being_rolled_back() -> None:
    ledger = Ledger(1)
    first, second = ledger.begin([]), ledger.begin([])
    ledger.claim(first, ["new"])
    ledger.begin_ending(first)

    with pytest.raises(ConflictError, match="rolled back"):
        ledger.claim(second, ["new/x"])
    with pytest.raises(ConflictError, match="rolled back"):
        ledger.note_read(second, "new")
    with pytest.raises(ConflictError, match="rolled back"):
        ledger.begin([first])
    with pytest.raises(TransactionError, match="being rolled back"):
        ledger.claim(first, ["more"])
    ledger.stop_ending([first])
    assert ledger.claim(second, ["new/x"]) == {first.number: 0}


def test_dependents_of_dependents_go_along_and_paths_are_free_then() -> None:
    ledger = Ledger(1)
    first = ledger.begin([])
    second = ledger.begin([first])
    third = ledger.begin([second])
    ledger.begin([])
    ledger.claim(third, ["x"])

    assert ledger.begin_ending(first) == [second, third]
    ledger.end(third, TransactionStatus.ABORTED)
    ledger.claim(ledger.begin([]), ["x"])


def test_no_more_than_a_number_of_transactions_are_open() -> None:
    ledger = Ledger(1)
    books = [ledger.begin([]) for _ in range(OPEN_TRANSACTIONS_MAX)]

    with pytest.raises(TransactionError, match="are open"):
        ledger.begin([])
    ledger.end(books[0], TransactionStatus.COMMITTED)
    ledger.begin([])


def test_folders_above_are_those_without_the_root() -> None:
    assert list(folders_above("a/b/c")) == ["a/b", "a"]
    assert list(folders_above("a")) == []


def test_what_was_taken_back_is_no_longer_in_flight(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    log = place.open()
    transaction = log.begin()
    transaction.create("kept", b"x")
    savepoint = transaction.savepoint()
    transaction.apply([operation(CREATE, name, b"x") for name in ("gone", "too")])
    transaction.rollback(savepoint)
    log.close()

    records = RecordLog(place.path / "log")
    found = find_in_flight(records.read())
    records.close()

    assert [o.path for _, o in found.books[transaction.number].operations] == ["kept"]
    assert found.books[transaction.number].count == 3


def test_a_commit_syncs_the_files_then_its_record_then_the_head(tmp_path: Path) -> None:
    gate = CrashingGate()
    with Place(tmp_path / "place").open(gate) as log:
        transaction = log.begin()
        transaction.create("new", b"x")
        gate.effects.clear()

        transaction.commit()

        wanted = ["sync", "sync", "log_write", "log_sync", "log_write", "log_sync", "remove_tree"]
        assert gate.effects == wanted


def test_the_example_in_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

    exec(compile(block, str(PAGE), "exec"), {})
