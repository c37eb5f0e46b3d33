"""What somebody else committed is noted: once, whole or not at all, and never taken back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.file_transactions import Place, quick_folder
from tests.support.trees import Crashed, CrashingGate

from resile.errors import StoreDamagedError, TransactionError
from resile.store.log.records import PAYLOAD_BYTES_MAX
from resile.store.model import Entry, EntryType
from resile.store.transactions import Content, Noted, TransactionLog
from resile.store.transactions.payloads import decode_noted, encode_noted

AT = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)


@pytest.fixture
def place() -> Iterator[Place]:
    with quick_folder() as found:
        yield Place(found)


def entry(name: bytes = b"", **facts: object) -> Entry:
    kept = {"type": EntryType.FILE, "mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 5} | facts
    return Entry(name=name, **kept)


def noted(path: bytes, data: bytes = b"new") -> Noted:
    name = path.rpartition(b"/")[2]
    return Noted(
        path=path,
        entry=entry(name, size=len(data), chunks=(bytes(32),)),
        content=Content.INLINE,
        data=data,
    )


CHANGES = (noted(b"a"), Noted(path=b"sub"), noted(b"b\xff/c", b""))


def test_changes_that_cannot_be_read_leave_nothing_and_the_log_goes_on(place: Place) -> None:
    def failing() -> Iterator[Noted]:
        yield CHANGES[0]
        raise TransactionError("it cannot be read")

    with place.open() as log:
        with pytest.raises(TransactionError, match="cannot be read"):
            log.note("run:1", failing(), at=AT)
        assert list(log.commits()) == []
        assert log.note("run:1", CHANGES, at=AT)

    with place.open() as log:
        assert [one.changes for one in log.commits()] == [CHANGES]
        assert log.open_transactions() == []


def test_what_was_noted_is_not_looked_at_again(place: Place) -> None:
    def never() -> Iterator[Noted]:
        raise AssertionError("it was noted")
        yield

    with place.open() as log:
        assert log.note("run:1", CHANGES, at=AT)
        assert not log.note("run:1", never(), at=AT)
    with place.open() as log:
        assert not log.note("run:1", never(), at=AT)
        assert log.note("run:2", CHANGES, at=AT)
        assert [one.origin for one in log.commits()] == ["run:1", "run:2"]


@pytest.mark.parametrize("payload", [b"", b"\x01", encode_noted(CHANGES[0])[:20]])
def test_a_note_that_makes_no_sense_is_damage(payload: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        decode_noted(payload)


@pytest.mark.parametrize("path", [b"/etc", b"../x", b"a//b", b"a/./b"])
def test_a_note_of_a_path_that_leads_out_is_damage(path: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        decode_noted(encode_noted(Noted(path=path)))


def test_what_does_not_fit_into_a_record_is_noted_as_lost(place: Place) -> None:
    big = Noted(path=b"a", entry=entry(b"a", xattrs={"user.x": bytes(PAYLOAD_BYTES_MAX)}))

    with place.open() as log:
        log.note("run:1", [big], at=AT)
        assert [one.changes for one in log.commits()] == [(Noted(path=b"a", content=Content.LOST),)]


@given(
    path=st.lists(st.binary(min_size=1).filter(lambda b: not set(b) & {0, 47}), min_size=1),
    data=st.binary(max_size=64),
    content=st.sampled_from(Content),
)
def test_a_note_comes_back_as_it_was(path: list[bytes], data: bytes, content: Content) -> None:
    if {b".", b".."} & set(path):
        return
    change = Noted(path=b"/".join(path), entry=entry(path[-1]), content=content, data=data)

    assert decode_noted(encode_noted(change)) == change


def test_times_of_commits_never_go_back(place: Place) -> None:
    with place.open() as log:
        log.note("run:1", CHANGES, at=AT)
        log.note("run:2", CHANGES, at=AT - timedelta(hours=1))
        log.note("run:3", CHANGES, at=AT + timedelta(hours=1))

        assert [one.committed_at - AT for one in log.commits()] == [
            timedelta(),
            timedelta(),
            timedelta(hours=1),
        ]
        assert [one.origin for one in log.commits(until=AT)] == ["run:1", "run:2"]


def test_own_transactions_and_noted_ones_stand_in_the_order_of_their_commits(
    place: Place,
) -> None:
    with place.open() as log:
        own = log.begin()
        own.modify("a", b"own")
        log.note("run:1", CHANGES, at=AT)
        own.commit()

        found = list(log.commits())

        assert [one.origin for one in found] == ["run:1", ""]
        assert [change.path for change in log.replay()] == ["a"]
        assert log.trim(AT) == 0


def test_a_crash_before_each_effect_leaves_it_whole_or_not_noted(place: Place) -> None:
    for step in range(1, 1000):
        log: TransactionLog | None = None
        try:
            log = place.open(CrashingGate(step))
            log.note(f"run:{step}", CHANGES, at=AT)
        except Crashed:
            pass
        else:
            break
        finally:
            if log is not None:
                log.close()
        with place.open() as log:
            assert log.open_transactions() == []
            is_there = f"run:{step}" in [one.origin for one in log.commits()]
            assert log.note(f"run:{step}", CHANGES, at=AT) is not is_there
            found = [one for one in log.commits() if one.origin == f"run:{step}"]
            assert [one.changes for one in found] == [CHANGES]
    assert step > 5
