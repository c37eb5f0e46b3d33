"""What every journal promises, whatever it is kept in."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.journals import BEGIN, an_event, some_events

from resile.core.events import BODY_BYTES_MAX
from resile.core.journal import Head, Query, SegmentLimits, SqliteJournal, open_journal
from resile.core.journal.chain import (
    OWN_KINDS,
    ZERO_HASH,
    canonical_bytes,
    chain_hash,
    microseconds,
)
from resile.errors import JournalError
from resile.testing import MemoryJournal

AnyJournal = SqliteJournal | MemoryJournal

MAKERS: dict[str, Callable[[Path], AnyJournal]] = {
    "memory": lambda _: MemoryJournal(),
    "sqlite": open_journal,
    "sqlite-small-segments": lambda folder: open_journal(
        folder, limits=SegmentLimits(bytes_max=1, count_max=1000)
    ),
}


@pytest.fixture(params=MAKERS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyJournal]:
    journal = MAKERS[request.param](tmp_path / "journal")
    yield journal
    journal.close()


def subjects(journal: AnyJournal, query: Query | None = None) -> list[str]:
    """Tell the subjects of what we wrote; a journal may add records of its own."""
    return [
        record.event.subject
        for record in journal.read(query or Query())
        if record.event.subject != "journal"
    ]


def test_an_empty_journal_has_the_zero_head(journal: AnyJournal) -> None:
    assert journal.head() == Head(seq=0, hash=ZERO_HASH)
    assert journal.read(Query()) == ()


def test_what_is_appended_is_read_back_in_order(journal: AnyJournal) -> None:
    events = some_events(30)

    appended = [record for event in events for record in journal.append(event)]

    assert [record.event for record in appended] == events
    ours = [record for record in journal.read(Query()) if record.event.subject != "journal"]
    assert ours == appended


def test_the_numbers_have_no_gap_and_the_hashes_make_a_chain(journal: AnyJournal) -> None:
    for start in (1, 11, 21):
        journal.append(*some_events(10, start=start))

    previous = ZERO_HASH
    for seq, record in enumerate(journal.read(Query()), start=1):
        event = record.event
        assert record.seq == seq
        assert record.previous_hash == previous
        previous = record.hash
        assert event.at.tzinfo is not None
    assert journal.head() == Head(seq=seq, hash=previous)
    assert journal.export_head() == journal.head()


def test_a_hash_covers_every_field(journal: AnyJournal) -> None:
    (record,) = journal.append(an_event(correlation_id="flt_1", version=3, body={"a": [1, "é"]}))

    canonical = canonical_bytes(
        record.event.id,
        microseconds(record.event.at),
        "check.changed",
        "check/api.live",
        "brain",
        "flt_1",
        3,
        b'{"a":[1,"\\u00e9"]}',
    )
    assert record.hash == chain_hash(record.previous_hash, record.seq, canonical)


def test_nothing_appended_is_nothing(journal: AnyJournal) -> None:
    assert journal.append() == ()
    assert journal.append_soon().result(timeout=30) == ()
    assert journal.head().seq == 0


def test_one_bad_event_keeps_its_whole_unit_out(journal: AnyJournal) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(an_event(1), an_event(2, body={"x": object()}))

    assert journal.head().seq == 0


@pytest.mark.parametrize(
    "body",
    [{"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}, {"x": b""}, {("a", 1): 2}],
)
def test_a_body_that_is_no_json_is_refused(journal: AnyJournal, body: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="cannot be written") as caught:
        journal.append(an_event(body=body))

    assert "JSON" in caught.value.hint


def test_a_body_that_holds_itself_is_refused(journal: AnyJournal) -> None:
    body: dict[str, object] = {}
    body["itself"] = body

    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(an_event(body=body))


def test_text_that_cannot_be_encoded_is_refused(journal: AnyJournal) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(an_event(subject="\ud800"))


@pytest.mark.parametrize("version", [2**63, -(2**63) - 1])
def test_a_number_that_no_column_holds_is_refused(journal: AnyJournal, version: int) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(an_event(version=version))


def test_the_longest_body_fits_and_a_longer_one_is_refused(journal: AnyJournal) -> None:
    room = BODY_BYTES_MAX - len('{"text":""}')
    journal.append(an_event(1, body={"text": "x" * room}))

    with pytest.raises(JournalError, match=f"body of {BODY_BYTES_MAX + 1} bytes") as caught:
        journal.append(an_event(2, body={"text": "x" * (room + 1)}))

    assert "file" in caught.value.hint
    assert len(subjects(journal)) == 1


@pytest.mark.parametrize("name", ["id", "kind", "subject", "actor", "correlation_id"])
def test_a_name_of_unreasonable_length_is_refused(journal: AnyJournal, name: str) -> None:
    journal.append(an_event(**{name: "x" * 4096}))

    with pytest.raises(JournalError, match="name of 4097 bytes"):
        journal.append(an_event(**{name: "x" * 4097}))


def test_a_time_without_a_zone_is_a_mistake(journal: AnyJournal) -> None:
    with pytest.raises(AssertionError, match="without a zone"):
        journal.append(an_event(at=BEGIN.replace(tzinfo=None)))


EVENTS = [
    an_event(1, kind="fault.opened", subject="service/api", correlation_id="flt_1"),
    an_event(2, kind="incident.opened", subject="incident/1", correlation_id="inc_1"),
    an_event(3, kind="incident.resolved", subject="incident/2", correlation_id="inc_1"),
    an_event(4, kind="incidental.noise", subject="service/db"),
    an_event(5, kind="fault.closed", subject="service/api/x", correlation_id="flt_1"),
]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(), [1, 2, 3, 4, 5]),
        (Query(kinds=("fault.opened",)), [1]),
        (Query(kinds=("fault.opened", "fault.closed")), [1, 5]),
        (Query(kinds=("incident.*",)), [2, 3]),
        (Query(kinds=("incident.*", "fault.closed")), [2, 3, 5]),
        (Query(kinds=("none.such",)), []),
        (Query(subject="service/api"), [1]),
        (Query(correlation_id="flt_1"), [1, 5]),
        (Query(event_id=EVENTS[3].id), [4]),
        (Query(since=EVENTS[1].at), [2, 3, 4, 5]),
        (Query(until=EVENTS[1].at), [1]),
        (Query(since=EVENTS[1].at, until=EVENTS[3].at), [2, 3]),
        (Query(since=EVENTS[4].at + timedelta(microseconds=1)), []),
        (Query(kinds=("incident.*",), correlation_id="inc_1", subject="incident/2"), [3]),
        (Query(is_newest_first=True), [5, 4, 3, 2, 1]),
        (Query(kinds=("incident.*",), limit=1, is_newest_first=True), [3]),
        (Query(kinds=("incident.*",), limit=1), [2]),
    ],
)
def test_a_query_narrows(journal: AnyJournal, query: Query, numbers: list[int]) -> None:
    for event in EVENTS:
        journal.append(event)

    wanted = [EVENTS[number - 1].subject for number in numbers]
    assert subjects(journal, query) == wanted


def test_reading_goes_on_behind_a_record(journal: AnyJournal) -> None:
    for event in EVENTS:
        journal.append(event)
    everything = journal.read(Query())

    for record in everything:
        rest = journal.read(Query(after_seq=record.seq))
        assert rest == everything[record.seq :]
        assert journal.read(Query(after_seq=record.seq, limit=1)) == rest[:1]
        newest = journal.read(Query(after_seq=record.seq, limit=2, is_newest_first=True))
        assert newest == rest[::-1][:2]


@pytest.mark.parametrize("limit", [0, 100_001])
def test_a_limit_out_of_range_is_a_mistake(journal: AnyJournal, limit: int) -> None:
    with pytest.raises(AssertionError, match="limit is"):
        journal.read(Query(limit=limit))


def test_a_time_without_a_zone_cannot_be_asked_for(journal: AnyJournal) -> None:
    with pytest.raises(AssertionError, match="zone"):
        journal.read(Query(since=BEGIN.replace(tzinfo=None)))


def test_follow_yields_what_is_there_and_then_what_comes(journal: AnyJournal) -> None:
    journal.append(*some_events(3))
    followed = journal.follow(after_seq=1, timeout_s=30)

    assert [next(followed).event.subject for _ in range(2)]
    late = threading.Thread(target=lambda: journal.append(an_event(9, subject="late")))
    late.start()
    while (record := next(followed)).event.subject == "journal":
        pass

    assert record.event.subject == "late"
    late.join()


def test_follow_ends_when_nothing_comes(journal: AnyJournal) -> None:
    journal.append(an_event())

    assert list(journal.follow(after_seq=journal.head().seq, timeout_s=0.01)) == []


def test_follow_ends_when_the_journal_is_closed(journal: AnyJournal) -> None:
    closer = threading.Timer(0.05, journal.close)
    closer.start()

    assert list(journal.follow(after_seq=0, timeout_s=3600)) == []

    closer.join()


def test_threads_make_one_chain_and_each_unit_stays_together(journal: AnyJournal) -> None:
    def produce(subject: str) -> None:
        for number in range(20):
            journal.append(*[an_event(number, subject=subject)] * 3)

    threads = [threading.Thread(target=produce, args=(f"service/{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    read = subjects(journal)
    assert len(read) == 240
    assert all(len(set(read[start : start + 3])) == 1 for start in range(0, 240, 3))


def test_soon_is_durable_when_its_future_is_done(journal: AnyJournal) -> None:
    futures = [journal.append_soon(an_event(number)) for number in range(50)]

    records = [future.result(timeout=30)[0] for future in futures]

    assert [r.seq for r in records] == sorted(r.seq for r in records)
    assert {r.seq for r in records} <= {r.seq for r in journal.read(Query())}


def test_an_event_loop_awaits_its_appends(journal: AnyJournal) -> None:
    async def main() -> list[int]:
        units = await asyncio.gather(*(journal.append_async(an_event(n)) for n in range(50)))
        return [record.seq for unit in units for record in unit]

    seqs = asyncio.run(main())

    assert len(set(seqs)) == 50
    assert len(subjects(journal)) == 50


def test_a_closed_journal_takes_nothing(journal: AnyJournal) -> None:
    journal.append(an_event())
    journal.close()
    journal.close()

    with pytest.raises(JournalError, match="closed"):
        journal.append(an_event(2))
    with pytest.raises(JournalError, match="closed"):
        journal.append_soon(an_event(2))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANY_EVENTS = st.builds(
    an_event,
    number=st.integers(0, 10**6),
    at=st.timedeltas(timedelta(days=-10000), timedelta(days=10000)).map(lambda d: BEGIN + d),
    kind=NAMES.filter(lambda kind: not kind.startswith(OWN_KINDS)),
    subject=NAMES.filter(lambda name: name != "journal"),
    actor=NAMES,
    correlation_id=NAMES,
    version=st.integers(-(2**63), 2**63 - 1),
    body=st.dictionaries(st.text(max_size=10), JSON, max_size=4),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(ANY_EVENTS, min_size=1, max_size=5))
def test_any_event_comes_back_as_it_was(journal: AnyJournal, events: list[object]) -> None:
    records = journal.append(*events)  # type: ignore[arg-type]

    read = journal.read(Query(after_seq=records[0].seq - 1))
    assert [record.event for record in read] == events
    assert list(read) == list(records)
