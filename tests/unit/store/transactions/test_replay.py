import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.file_transactions import CREATE, MODIFY, Blobs, Place, operation

from resile.errors import StoreDamagedError, StoreError
from resile.store.log import RecordLog
from resile.store.transactions import OperationKind, Redo, TransactionLog
from resile.store.transactions.patches import Patch, patched, patches_between
from resile.store.transactions.payloads import decode_operation, encode_operation
from resile.testing.clock import FakeClock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def replay_onto(place: Place, files: dict[str, bytes], until: datetime | None = None) -> None:
    blobs = place.blobs
    with TransactionLog(place.tree, place.path / "log", blobs=blobs) as log:
        for done in log.replay(until=until):
            if done.kind is OperationKind.DELETE:
                del files[done.path]
            elif done.kind is not OperationKind.MAKE_FOLDER:
                before = files.get(done.path, b"")
                files[done.path] = done.content_after(before, blobs.kept.__getitem__)


def files_of(place: Place) -> dict[str, bytes]:
    return {
        str(path.relative_to(place.tree)): path.read_bytes()
        for path in place.tree.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def blobs(place: Place) -> Blobs:
    place.blobs = Blobs()
    return place.blobs


def test_replay_gives_the_folder_as_it_was_at_any_commit(place: Place, blobs: Blobs) -> None:
    rng = random.Random(7)
    clock = FakeClock()
    start = files_of(place)
    states: list[tuple[datetime, dict[str, bytes]]] = []
    log = TransactionLog(place.tree, place.path / "log", blobs=blobs, clock=clock)
    big = rng.randbytes(40_000)
    with log.begin() as first:
        first.create("big", big)
    for number in range(6):
        clock.advance(60)
        transaction, other = log.begin(), log.begin()
        big = big[: 9000 * number] + rng.randbytes(9) + big[9000 * number :]
        transaction.modify("big", big)
        savepoint = transaction.savepoint()
        transaction.delete("b")
        transaction.rollback(savepoint)
        other.create(f"aborted-{number}", b"x")
        transaction.create(f"file-{number}", rng.randbytes(100))
        other.abort()
        transaction.commit()
        states.append((clock.now(), files_of(place)))
    log.close()

    for at, wanted in states:
        files = dict(start)
        replay_onto(place, files, until=at)
        assert files == wanted
    files = dict(start)
    replay_onto(place, files)
    assert files == files_of(place)
    assert len(blobs.kept) == 1


def test_content_beyond_the_log_needs_a_store_to_be_replayed(place: Place) -> None:
    with place.open() as log:
        with log.begin() as transaction:
            transaction.create("big", b"x" * 20_000)
        (done,) = log.replay()

    assert done.redo is Redo.NONE
    with pytest.raises(StoreError, match="was not kept"):
        done.content_after(b"", lambda _: b"")


def test_a_replay_on_other_content_is_an_error(place: Place, blobs: Blobs) -> None:
    with TransactionLog(place.tree, place.path / "log", blobs=blobs) as log:
        with log.begin() as transaction:
            transaction.create("big", bytes(30_000))
            transaction.modify("big", bytes(29_999) + b"x")
        created, modified = log.replay()

    assert (created.redo, modified.redo) == (Redo.BLOB, Redo.PATCHES)
    with pytest.raises(StoreDamagedError, match="big"):
        modified.content_after(b"other", blobs.kept.__getitem__)
    with pytest.raises(StoreDamagedError, match="big"):
        created.content_after(b"", lambda _: b"damaged")


def test_times_of_commits_never_go_back(place: Place) -> None:
    clock = FakeClock()
    times = []
    for number in range(3):
        with TransactionLog(place.tree, place.path / "log", clock=clock) as log:
            for name in ("x", "y"):
                with log.begin() as transaction:
                    transaction.create(f"{name}-{number}", b"")
                clock.jump(-3600)
            times = [done.committed_at for done in log.replay()]

    assert times == sorted(times)


def test_trim_drops_what_is_old_and_keeps_what_is_open(place: Place) -> None:
    clock = FakeClock()
    log = TransactionLog(place.tree, place.path / "log", clock=clock, segment_bytes_max=1000)
    for number in range(5):
        with log.begin() as transaction:
            transaction.create(f"old-{number}", b"x" * 500)
    clock.advance(60)
    middle = clock.now()
    with log.begin() as transaction:
        transaction.create("new", b"x" * 500)
    held = log.begin()
    held.create("open", b"x" * 500)
    clock.advance(60)
    for number in range(5):
        with log.begin() as transaction:
            transaction.create(f"later-{number}", b"x" * 500)

    assert log.trim(middle) > 0
    assert {"new", "later-0"} <= {done.path for done in log.replay()}
    assert "old-0" not in {done.path for done in log.replay()}
    assert log.trim(datetime.max.replace(tzinfo=UTC)) >= 1
    log.close()

    with TransactionLog(place.tree, place.path / "log") as log:
        assert log.recovered.undone == (held.number,)
        assert log.trim(datetime.max.replace(tzinfo=UTC)) >= 1
        assert log.begin().number > held.number
    assert not (place.tree / "open").exists()
    assert (place.tree / "old-0").exists()


@given(st.binary(max_size=3000), st.data())
def test_patches_give_the_content_after(before: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(before)))
    end = data.draw(st.integers(at, len(before)))
    after = before[:at] + data.draw(st.binary(max_size=300)) + before[end:]

    patches = patches_between(before, after)

    assert patched(before, Patch.decode_all(Patch.encode_all(patches))) == after


def test_patches_hold_only_what_differs() -> None:
    before = bytes(100_000)
    after = bytearray(before)
    after[5], after[50_000], after[99_999] = 1, 2, 3

    patches = patches_between(before, bytes(after))

    assert [patch.offset // 256 for patch in patches] == [0, 195, 390]
    assert len(Patch.encode_all(patches)) < 1000
    assert patches_between(before, before) == []


@pytest.mark.parametrize(
    "encoded", [b"", b"\1\0\0\0", b"\0\0\0\0x", b"\1\0\0\0" + bytes(16) + b"\5"]
)
def test_patches_that_make_no_sense_are_damage(encoded: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        Patch.decode_all(encoded)


def test_operations_come_back_from_their_payloads_and_cut_ones_are_damage(place: Place) -> None:
    (place.tree / "twice").hardlink_to(place.tree / "a")
    with place.open() as log, log.begin() as transaction:
        transaction.apply([operation(MODIFY, "a", b"x"), operation(CREATE, "é\udcff", b"y")])
        transaction.delete("b")
        transaction.make_folder("f")
    records = RecordLog(place.path / "log")
    payloads = [record.payload for record in records.read() if record.type == 2]
    records.close()

    assert len(payloads) == 4
    for payload in payloads:
        decoded = decode_operation(payload)
        assert encode_operation(decoded) == payload
        for size in range(
            len(payload)
            - len(decoded.content)
            - len(decoded.path.encode("utf-8", "surrogateescape"))
        ):
            with pytest.raises(StoreDamagedError):
                decode_operation(payload[:size])
