import errno
import os
from pathlib import Path

import pytest
from tests.support.file_transactions import CREATE, DELETE, MODIFY, Place, operation
from tests.support.trees import CrashingGate, FailingGate

from resile.errors import (
    AlreadyRunningError,
    ConflictError,
    StoreError,
    TransactionError,
)
from resile.store.transactions import TransactionLog


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "sub/../a", "./a", "sub//d", "a\0b", ".resile-tx-1/x", "x/" * 200],
)
def test_a_path_that_does_not_name_something_in_the_folder_is_refused(
    place: Place, path: str
) -> None:
    with place.open() as log:
        transaction = log.begin()

        with pytest.raises(TransactionError, match="cannot be worked on"):
            transaction.create(path, b"x")
        with pytest.raises(TransactionError, match="cannot be worked on"):
            transaction.read(path)


@pytest.mark.parametrize(
    ("kind", "path", "what"),
    [
        ("create", "a", "it is there already"),
        ("create", "link", "it is there already"),
        ("create", "nowhere/x", "its folder is not there"),
        ("create", "a/x", "its folder is not there"),
        ("modify", "none", "it is not there"),
        ("modify", "sub", "it is a folder"),
        ("modify", "link", "it is no file"),
    ],
)
def test_what_cannot_be_done_is_refused_and_the_transaction_goes_on(
    place: Place, kind: str, path: str, what: str
) -> None:
    before = place.contents()
    with place.open() as log:
        transaction = log.begin()

        with pytest.raises(TransactionError, match=what):
            getattr(transaction, kind)(path, b"x")
        with pytest.raises(TransactionError, match="it is a folder"):
            transaction.delete("sub")

        assert place.contents() == before
        transaction.create("new", b"new")
        transaction.commit()
    assert (place.tree / "new").read_bytes() == b"new"
    assert place.stages() == []


def test_no_link_on_the_way_is_followed(place: Place) -> None:
    outside = place.path / "outside"
    outside.mkdir()
    (outside / "x").write_text("x")
    (place.tree / "door").symlink_to(outside)
    with place.open() as log:
        transaction = log.begin()

        for call in (transaction.create, transaction.modify):
            with pytest.raises(TransactionError):
                call("door/x", b"bad")
        with pytest.raises(TransactionError):
            transaction.delete("door/x")
        with pytest.raises(TransactionError):
            transaction.read("door/x")
    assert (outside / "x").read_text() == "x"


def test_a_path_that_another_open_transaction_writes_is_refused(place: Place) -> None:
    with place.open() as log:
        first, second = log.begin(), log.begin()
        first.modify("a", b"first")

        with pytest.raises(ConflictError) as caught:
            second.apply([operation(MODIFY, "b", b"second"), operation(DELETE, "a")])

        assert caught.value.paths == (("a", "transaction 1 writes it"),)
        assert (place.tree / "b").read_text() == "old b"
        first.commit()
        second.modify("a", b"second")
        second.commit()
    assert (place.tree / "a").read_bytes() == b"second"


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_transaction_that_has_ended_takes_nothing_more(place: Place, end: str) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.create("new", b"x")
        getattr(transaction, end)()

        for call in (
            lambda: transaction.create("more", b"x"),
            transaction.savepoint,
            transaction.commit,
            lambda: transaction.read("a"),
        ):
            with pytest.raises(TransactionError, match="transaction 1 is"):
                call()


def test_a_committed_transaction_is_not_aborted_and_an_aborted_one_stays_so(place: Place) -> None:
    with place.open() as log:
        first, second = log.begin(), log.begin()
        first.commit()
        second.abort()

        with pytest.raises(TransactionError, match="committed"):
            first.abort()
        second.abort()


def test_a_folder_that_is_not_there_or_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("none", "link"):
        with pytest.raises(TransactionError, match="cannot be worked on"):
            TransactionLog(tmp_path / name, tmp_path / "log")


def test_one_process_has_the_log(place: Place) -> None:
    with place.open(), pytest.raises(AlreadyRunningError):
        place.open()


def test_a_closed_log_takes_nothing_and_its_transactions_are_taken_back(place: Place) -> None:
    before = place.contents()
    log = place.open()
    transaction = log.begin()
    transaction.create("new", b"x")
    log.close()
    log.close()

    with pytest.raises(TransactionError, match="the log was closed"):
        transaction.create("more", b"x")
    with pytest.raises(TransactionError, match="closed"):
        log.replay()
    with place.open() as log:
        assert log.recovered.undone == (1,)
    assert place.contents() == before


# What it does -------------------------------------------------------------------------------------


def test_commit_keeps_and_abort_takes_back_everything(place: Place) -> None:
    before = place.contents()
    with place.open() as log:
        for end in ("abort", "commit"):
            transaction = log.begin()
            transaction.create("new", b"new", mode=0o600)
            transaction.modify("a", b"first")
            transaction.modify("a", b"second")
            transaction.delete("b")
            transaction.create("b", b"other b")
            transaction.delete("link")
            transaction.make_folder("folder")
            transaction.create("folder/x", b"x")
            transaction.delete("folder/x")
            transaction.delete("new")
            transaction.create("new", b"newer")
            getattr(transaction, end)()
            if end == "abort":
                assert place.contents() == before

    assert (place.tree / "a").read_bytes() == b"second"
    assert (place.tree / "b").read_bytes() == b"other b"
    assert (place.tree / "new").read_bytes() == b"newer"
    assert list((place.tree / "folder").iterdir()) == []
    assert not (place.tree / "link").is_symlink()
    assert list(place.tree.glob(".resile-tx-*")) == []
    with place.open() as log:
        assert log.recovered.undone == ()


def test_modify_keeps_mode_owner_and_attributes(place: Place) -> None:
    path = place.tree / "a"
    path.chmod(0o640)
    os.setxattr(path, "user.k", b"v")
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    before = path.stat()

    with place.open() as log, log.begin() as transaction:
        transaction.modify("a", b"new")

    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(path, "user.k") == b"v"
    assert path.read_bytes() == b"new"


def test_an_error_in_the_block_aborts(place: Place) -> None:
    before = place.contents()

    def fail() -> None:
        with log.begin() as transaction:
            transaction.delete("a")
            raise ZeroDivisionError

    with place.open() as log, pytest.raises(ZeroDivisionError):
        fail()

    assert place.contents() == before


def test_a_call_is_done_whole_or_not_at_all(place: Place) -> None:
    before = place.contents()
    with place.open() as log:
        transaction = log.begin()

        with pytest.raises(TransactionError):
            transaction.apply(
                [
                    operation(CREATE, "x", b"x"),
                    operation(MODIFY, "x", b"y"),
                    operation(DELETE, "a"),
                    operation(CREATE, "a", b"a"),
                    operation(CREATE, "c", b"is there"),
                ]
            )

        assert place.contents() == before
        transaction.create("x", b"x")
        transaction.commit()


def test_a_thousand_operations_share_their_syncs(place: Place) -> None:
    gate = CrashingGate()
    with place.open(gate) as log:
        gate.effects.clear()
        transaction = log.begin()
        transaction.apply([operation(CREATE, f"new-{n}", b"x") for n in range(1000)])
        done = list(gate.effects)
        gate.effects.clear()
        transaction.abort()

        assert done.count("log_sync") == 1
        assert done.count("sync") <= 4
        assert gate.effects.count("log_sync") == 1
        assert gate.effects.count("sync") == 2


def test_rollback_to_a_savepoint_keeps_what_was_before_it(place: Place) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.modify("a", b"kept")
        first = transaction.savepoint()
        middle = place.contents()
        transaction.modify("a", b"gone")
        second = transaction.savepoint()
        transaction.delete("b")

        transaction.rollback(second)
        assert (place.tree / "a").read_bytes() == b"gone"
        transaction.rollback(first)
        assert place.contents() == middle
        with pytest.raises(TransactionError, match="no such savepoint"):
            transaction.rollback(second)
        transaction.delete("b")
        transaction.rollback(first)
        transaction.create("more", b"more")
        transaction.commit()

    assert (place.tree / "a").read_bytes() == b"kept"
    assert (place.tree / "b").read_text() == "old b"
    assert (place.tree / "more").read_bytes() == b"more"


# Errors of the disk -------------------------------------------------------------------------------


def test_a_full_disk_at_any_step_leaves_nothing_half_done(tmp_path: Path) -> None:
    at, is_over = 0, False
    while not is_over:
        at += 1
        place = Place(tmp_path / f"{at}")
        with place.open() as log:
            log.begin().commit()
        before = place.contents()
        gate = FailingGate(at, number=errno.ENOSPC)
        try:
            with place.open(gate) as log, log.begin() as transaction:
                transaction.apply([operation(MODIFY, "a", b"new"), operation(DELETE, "b")])
                transaction.create("new", b"new")
            is_over = True
        except (TransactionError, StoreError):
            pass
        with place.open():
            pass

        is_new = (place.tree / "new").exists()
        assert is_new or place.contents() == before
        assert (place.tree / "a").read_bytes() == (b"new" if is_new else b"old a")
        assert (place.tree / "b").exists() is not is_new
        assert place.stages() == []
    assert at > 15


def test_a_file_system_that_cannot_exchange_files_is_named(place: Place) -> None:
    class NoExchange:
        def before(self, effect: str, name: str) -> None:
            if effect == "exchange":
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    before = place.contents()
    with place.open(NoExchange()) as log:
        transaction = log.begin()

        with pytest.raises(TransactionError) as caught:
            transaction.apply([operation(CREATE, "new", b"x"), operation(MODIFY, "a", b"x")])

        assert "ext4" in caught.value.hint
        assert not caught.value.is_transient
        assert place.contents() == before
        transaction.delete("a")
        transaction.abort()
    assert place.contents() == before
