"""The process ends before each effect on the folder or the log; then again while it recovers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.file_transactions import CREATE, DELETE, MODIFY, Place, operation, quick_folder
from tests.support.trees import Crashed, CrashingGate

from resile.store.transactions import FileTransaction, TransactionLog

NEW = {"a": b"new a", "new": b"newer", "folder/x": b"x"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as found:
        yield found


def work(transaction: FileTransaction) -> None:
    transaction.apply(
        [operation(CREATE, "new", b"new"), operation(MODIFY, "a", b"a"), operation(DELETE, "b")]
    )
    savepoint = transaction.savepoint()
    transaction.modify("c", b"taken back")
    transaction.modify("a", b"taken back")
    transaction.rollback(savepoint)
    transaction.modify("new", b"newer")
    transaction.make_folder("folder")
    transaction.create("folder/x", b"x")
    transaction.modify("a", b"new a")


def commit(log: TransactionLog) -> None:
    transaction = log.begin()
    work(transaction)
    transaction.commit()


def abort(log: TransactionLog) -> None:
    transaction = log.begin()
    work(transaction)
    transaction.abort()


def cascade(log: TransactionLog) -> None:
    first, second = log.begin(), log.begin()
    first.make_folder("folder")
    second.create("folder/x", b"x")
    second.modify("a", b"second")
    first.delete("b")
    first.abort()


def run(place: Place, script: Callable[[TransactionLog], None], gate: CrashingGate) -> bool:
    """Run a script until the gate ends it; tell whether it came to its end."""
    log = None
    try:
        log = place.open(gate)
        script(log)
    except Crashed:
        return False
    finally:
        if log is not None:
            log.close()
    return True


def is_new(place: Place) -> bool:
    found = {name: place.tree / name for name in NEW}
    return not (place.tree / "b").exists() and all(
        path.exists() and path.read_bytes() == NEW[name] for name, path in found.items()
    )


def recover(place: Place) -> None:
    place.open().close()
    assert place.stages() == []


@pytest.mark.parametrize("script", [commit, abort, cascade])
def test_a_crash_before_each_effect_leaves_all_or_nothing(
    folder: Path, script: Callable[[TransactionLog], None]
) -> None:
    at, is_over, ends = 0, False, set()
    while not is_over:
        at += 1
        place = Place(folder / f"{at}")
        before = place.contents()

        is_over = run(place, script, CrashingGate(at))
        recover(place)
        first = place.contents()
        recover(place)

        assert place.contents() == first
        assert first == before or (script is commit and is_new(place))
        ends.add(first == before)
    assert at > 30
    assert ends == ({True, False} if script is commit else {True})


def test_a_commit_that_returned_is_whole_whatever_comes_then(folder: Path) -> None:
    at, is_over = 0, False
    while not is_over:
        at += 1
        place = Place(folder / f"{at}")
        with place.open() as log:
            commit(log)

        is_over = run(place, lambda log: log.begin().modify("a", b"later"), CrashingGate(at))
        recover(place)

        assert is_new(place)
    assert at > 10


def test_a_crash_before_each_effect_of_a_recovery_is_recovered(folder: Path) -> None:
    at, is_over = 0, False
    while not is_over:
        at += 1
        place = Place(folder / f"{at}")
        before = place.contents()
        log = place.open()
        work(log.begin())
        log.close()

        is_over = run(place, lambda log: None, CrashingGate(at))
        recover(place)

        assert place.contents() == before
    assert at > 15


def test_crashes_one_after_the_other_while_it_recovers_come_to_an_end(folder: Path) -> None:
    """Each recovery gets a little farther before it is cut."""
    place = Place(folder / "place")
    before = place.contents()
    log = place.open()
    work(log.begin())
    log.close()

    rounds = 0
    while not run(place, lambda log: None, CrashingGate(rounds % 30 + 1)):
        rounds += 1
        assert rounds < 200

    assert place.contents() == before
    assert place.stages() == []
