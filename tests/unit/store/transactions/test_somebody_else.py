"""What programs change that do not use the log is seen, and never overwritten."""

import shutil
from pathlib import Path

import pytest
from tests.support.file_transactions import Place

from resile.errors import ConflictError
from resile.store.transactions import TransactionStatus


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def test_what_somebody_else_changed_is_not_taken_back(place: Place) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.create("new", b"ours")
        transaction.modify("a", b"ours")
        (place.tree / "a").write_bytes(b"theirs")

        with pytest.raises(ConflictError) as caught:
            transaction.abort()

        assert caught.value.paths == (("a", "changed since"),)
        assert (place.tree / "new").read_bytes() == b"ours"
        assert transaction.status is TransactionStatus.OPEN
        (place.tree / "a").rename(place.path / "theirs")
        with pytest.raises(ConflictError, match="changed by somebody else"):
            transaction.abort()


def test_in_flight_transactions_that_cannot_be_undone_are_named_and_stay_open(place: Place) -> None:
    log = place.open()
    log.begin().modify("a", b"ours")
    log.begin().modify("b", b"ours")
    log.close()
    (place.tree / "a").rename(place.tree / "ours")
    (place.tree / "a").write_bytes(b"theirs")

    with place.open() as log:
        assert log.recovered.undone == (2,)
        assert log.recovered.hindered == {1: (("a", "replaced since"),)}
        assert (place.tree / "a").read_bytes() == b"theirs"
        (transaction,) = log.open_transactions()
        with pytest.raises(ConflictError):
            log.begin().modify("a", b"again")
        (place.tree / "ours").replace(place.tree / "a")
        transaction.abort()
    assert (place.tree / "a").read_text() == "old a"
    assert place.stages() == []


def test_a_folder_into_which_somebody_put_something_stays(place: Place) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.make_folder("new")
        transaction.create("new/ours", b"ours")
        (place.tree / "new/theirs").write_bytes(b"theirs")

        transaction.abort()

    assert [path.name for path in (place.tree / "new").iterdir()] == ["theirs"]


@pytest.mark.parametrize("what", ["moved", "link"])
def test_a_folder_that_was_exchanged_is_not_worked_on(place: Place, what: str) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.modify("sub/d", b"ours")
        (place.tree / "sub").rename(place.tree / "moved")
        if what == "link":
            (place.tree / "sub").symlink_to("moved")
        else:
            (place.tree / "sub").mkdir()
            (place.tree / "sub/d").write_text("theirs")

        with pytest.raises(ConflictError) as caught:
            transaction.abort()

        assert caught.value.paths == (("sub/d", "its folder was replaced since"),)


def test_a_stage_that_somebody_removed_is_said(place: Place) -> None:
    log = place.open()
    log.begin().modify("a", b"ours")
    log.close()
    (stage,) = place.tree.glob(".resile-tx-*")
    shutil.rmtree(stage)

    with place.open() as log:
        assert log.recovered.hindered == {1: (("a", "its stage is gone"),)}
