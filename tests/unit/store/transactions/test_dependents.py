from pathlib import Path

import pytest
from tests.support.file_transactions import Place

from resile.errors import ConflictError, TransactionError
from resile.store.transactions import TransactionStatus


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def test_abort_takes_dependents_along_and_no_others(place: Place) -> None:
    before = place.contents()
    with place.open() as log:
        first = log.begin()
        first.make_folder("new")
        first.modify("a", b"first")
        inside, reader, free = log.begin(), log.begin(), log.begin()
        inside.create("new/x", b"x")
        assert reader.read("a") == b"first"
        reader.modify("b", b"from a")
        declared = log.begin(depends_on=[reader])
        declared.modify("c", b"declared")
        free.create("free", b"free")

        first.abort()

        ended = [t.status for t in (first, inside, reader, declared)]
        assert ended == [TransactionStatus.ABORTED] * 4
        with pytest.raises(TransactionError, match="it depends on transaction 1"):
            declared.create("more", b"x")
        with pytest.raises(ConflictError, match="rolled back"):
            log.begin(depends_on=[first])
        free.abort()
    assert place.contents() == before
    assert place.stages() == []


def test_rollback_to_a_savepoint_takes_only_those_along_that_depend_on_what_goes(
    place: Place,
) -> None:
    with place.open() as log:
        first = log.begin()
        first.modify("a", b"first")
        early = log.begin()
        early.read("a")
        early.create("early", b"x")
        savepoint = first.savepoint()
        first.modify("b", b"first")
        late = log.begin()
        late.read("b")
        late.create("late", b"x")

        first.rollback(savepoint)

        assert early.status is TransactionStatus.OPEN
        assert late.status is TransactionStatus.ABORTED
        first.commit()
        early.commit()
    assert not (place.tree / "late").exists()


def test_what_depends_on_an_open_transaction_is_not_committed_before_it(place: Place) -> None:
    with place.open() as log:
        first = log.begin()
        first.modify("a", b"first")
        second = log.begin()
        second.read("a")

        with pytest.raises(ConflictError, match="depends on transaction 1"):
            second.commit()
        first.commit()
        second.commit()


def test_two_do_not_depend_on_each_other(place: Place) -> None:
    with place.open() as log:
        first, second = log.begin(), log.begin()
        first.modify("a", b"first")
        second.modify("b", b"second")
        second.read("a")

        with pytest.raises(ConflictError, match="depend on each other"):
            first.read("b")
        first.commit()
        second.commit()


def test_dependences_outlive_a_crash(place: Place) -> None:
    log = place.open()
    first = log.begin()
    first.make_folder("new")
    second = log.begin()
    second.create("new/x", b"x")
    log.close()
    (place.tree / "new/x").write_bytes(b"theirs")

    with place.open() as log:
        assert log.recovered.undone == ()
        assert set(log.recovered.hindered) == {1, 2}
        (place.tree / "new/x").unlink()
