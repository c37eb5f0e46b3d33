"""Folders that are deleted in transactions: refused, taken back, cut anywhere, done again."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.file_transactions import DELETE_FOLDER, Place, operation, quick_folder
from tests.support.trees import Crashed, CrashingGate, FailingGate

from resile.errors import ConflictError, ResileError, TransactionError
from resile.store.transactions import OperationKind, reading


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as found:
        yield found


@pytest.fixture
def place(folder: Path) -> Place:
    """With a folder that has folders, files and links in it."""
    return made(folder / "place")


def made(path: Path) -> Place:
    place = Place(path)
    (place.tree / "sub" / "deep" / "er").mkdir(parents=True)
    (place.tree / "sub" / "deep" / "e").write_text("e")
    (place.tree / "sub" / "link").symlink_to("../a")
    (place.tree / "sub" / "deep").chmod(0o750)
    return place


# Refused


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("sub", "something is in it"),
        ("a", "it is no folder"),
        ("link", "it is no folder"),
        ("none", "it is not there"),
        ("none/x", "its folder is not there"),
    ],
)
def test_only_an_empty_folder_is_deleted_alone(place: Place, path: str, what: str) -> None:
    before = place.contents()
    with place.open() as log:
        transaction = log.begin()

        with pytest.raises(TransactionError, match=what):
            transaction.apply([operation(DELETE_FOLDER, path)])

        assert place.contents() == before
        transaction.create("new", b"new")
        transaction.commit()


@pytest.mark.parametrize("path", ["a", "link", "none", "none/x", "", "..", "sub/.."])
def test_what_is_no_folder_is_not_deleted_as_one(place: Place, path: str) -> None:
    before = place.contents()
    with place.open() as log, pytest.raises(TransactionError):
        log.begin().delete_folder(path)

    assert place.contents() == before


def test_a_folder_of_too_many_entries_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ENTRIES_MAX", 3)
    with place.open() as log, pytest.raises(TransactionError, match="more than 3 entries"):
        log.begin().delete_folder("sub")


def test_a_failure_in_the_middle_takes_all_of_it_back(folder: Path) -> None:
    failed = 0
    for at in range(1, 200):
        place = made(folder / f"{at}")
        before = place.contents()
        is_over = False
        with contextlib.suppress(ResileError), place.open(FailingGate(at)) as log:
            log.begin().delete_folder("sub")
            is_over = not (place.tree / "sub").exists()
        with place.open():
            assert place.contents() == before
        if is_over:
            break
        failed += 1
    assert failed > 10


def test_what_somebody_puts_into_it_meanwhile_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resile.store.transactions import renaming

    before = place.contents()
    do = renaming.do_rename

    def meanwhile(step, files, stage_fd, folder_fd, name):  # type: ignore[no-untyped-def]
        fault = do(step, files, stage_fd, folder_fd, name)
        if step.path == "sub/deep":
            theirs = os.open(f"{step.slot}/theirs", os.O_CREAT | os.O_WRONLY, dir_fd=stage_fd)
            os.close(theirs)
        return fault

    monkeypatch.setattr(renaming, "do_rename", meanwhile)
    with place.open() as log, pytest.raises(ConflictError, match="changed by somebody else"):
        log.begin().delete_folder("sub")

    assert (place.tree / "sub" / "deep" / "theirs").exists()
    (place.tree / "sub" / "deep" / "theirs").unlink()
    assert place.contents() == before


def test_a_folder_that_somebody_made_anew_is_not_overwritten(place: Place) -> None:
    with place.open() as log:
        transaction = log.begin()
        transaction.delete_folder("sub")
        (place.tree / "sub").mkdir()

        with pytest.raises(ConflictError):
            transaction.abort()

        (place.tree / "sub").rmdir()
        transaction.abort()
    assert (place.tree / "sub" / "deep" / "e").read_text() == "e"


# Done and taken back


def test_a_folder_goes_with_all_that_is_in_it_and_comes_back(place: Place) -> None:
    before = place.contents()
    with place.open() as log:
        transaction = log.begin()
        transaction.create("sub/new", b"new")
        savepoint = transaction.savepoint()
        transaction.delete_folder("sub")
        assert not (place.tree / "sub").exists()
        transaction.make_folder("sub")
        transaction.create("sub/d", b"another")

        transaction.rollback(savepoint)
        assert (place.tree / "sub" / "new").read_bytes() == b"new"
        transaction.abort()
    assert place.contents() == before
    assert place.stages() == []


def test_a_commit_removes_it_for_good(place: Place) -> None:
    with place.open() as log:
        with log.begin() as transaction:
            transaction.delete_folder("sub")
        kinds = [one.kind for one in log.replay()]

    assert not (place.tree / "sub").exists()
    assert place.stages() == []
    assert kinds.count(OperationKind.DELETE_FOLDER) == 3
    assert kinds[-1] is OperationKind.DELETE_FOLDER


def test_whoever_deletes_a_folder_depends_on_whoever_emptied_it(place: Place) -> None:
    before = place.contents()
    with place.open() as log:
        first, second = log.begin(), log.begin()
        first.delete_folder("sub/deep")
        second.delete_folder("sub")
        with pytest.raises(ConflictError, match="depends on transaction"):
            second.commit()

        first.abort()

        assert second.status.name == "ABORTED"
    assert place.contents() == before


def test_a_crash_before_each_effect_leaves_all_or_nothing(folder: Path) -> None:
    ends = set()
    for at in range(1, 500):
        place = made(folder / f"{at}")
        before = place.contents()
        log = None
        try:
            log = place.open(CrashingGate(at))
            transaction = log.begin()
            transaction.make_folder("other")
            transaction.delete_folder("sub")
            transaction.delete_folder("other")
            transaction.commit()
        except Crashed:
            is_over = False
        else:
            is_over = True
        finally:
            if log is not None:
                log.close()

        with place.open() as log:
            assert log.recovered.hindered == {}
        assert place.stages() == []
        after = place.contents()
        gone = {key for key in before if not key.startswith("sub")} == set(after)
        assert after == before or gone, at
        ends.add(gone)
        if is_over:
            break
    assert ends == {True, False}
    assert at > 30
