"""The rotation book: leases, fences, and a file that is not trusted."""

import sqlite3
from datetime import timedelta

import pytest
from tests.unit.secrets.rotation.kit import NAME, Kit
from tests.unit.secrets.rotation.records import AT, record

from resile.core.vocabulary import RotationOutcome, RotationStep
from resile.errors import SecretConflictError, SecretDamagedError, SecretError
from resile.secrets.rotation.book import ENDED_MAX, LEASE_S, NEWS_MAX, Book, LeaseLostError
from resile.secrets.rotation.decide import End, turned


def test_file_of_something_else_is_refused(kit: Kit) -> None:
    kit.path.parent.mkdir()
    with sqlite3.connect(kit.path) as other:
        other.execute("create table t (x)")

    with pytest.raises(SecretError, match="no rotation book"):
        kit.book().open_ones()


def test_link_is_not_followed(kit: Kit) -> None:
    kit.path.parent.mkdir()
    kit.path.symlink_to(kit.path.parent / "elsewhere")

    with pytest.raises(SecretError, match="could not be used"):
        kit.book().open_ones()


def test_file_that_is_no_database_is_damaged(kit: Kit) -> None:
    kit.path.parent.mkdir()
    kit.path.write_bytes(b"nothing of SQLite's " * 100)

    with pytest.raises(SecretDamagedError):
        kit.book().open_ones()


@pytest.mark.parametrize(
    "change",
    [
        "update rotation set body = replace(body, 'ann', 'bob')",
        "update rotation set body = '{}', checksum = ''",
    ],
)
def test_record_that_was_changed_from_outside_is_refused(kit: Kit, change: str) -> None:
    book = kit.book()
    book.begin(record())
    with sqlite3.connect(kit.path) as other:
        other.execute(change)

    with pytest.raises(SecretDamagedError, match="checksum"):
        book.open_ones()


def test_record_of_a_later_version_is_damaged(kit: Kit) -> None:
    book = kit.book()
    with sqlite3.connect(kit.path if book.open_ones() == () else "") as other:
        other.execute("insert into timetable values ('db', '[]')")

    with pytest.raises(SecretDamagedError, match="Entry cannot be read"):
        book.agenda.entries((NAME,))


def test_only_this_user_can_read_it(kit: Kit) -> None:
    kit.book().open_ones()

    assert kit.path.stat().st_mode & 0o077 == 0
    assert kit.path.parent.stat().st_mode & 0o077 == 0


def test_lease_of_a_living_process_is_not_given_away(kit: Kit) -> None:
    first, second = kit.book(1), kit.book(2)
    first.begin(record())

    assert second.claim("rotation_1") is None
    assert first.claim("rotation_1") is None
    with pytest.raises(SecretConflictError, match="being rotated already"):
        second.begin(record(rotation_id="rotation_2"))


def test_lease_ends_with_its_process_at_once_and_its_attempt_counts(kit: Kit) -> None:
    kit.book(1).begin(record())
    kit.dead.add(1)

    claim = kit.book(2).claim("rotation_1")

    assert claim is not None
    assert kit.book(2).read(claim).tries == 1


def test_lease_that_was_let_go_is_not_renewed_by_who_has_not_heard_of_it(kit: Kit) -> None:
    book = kit.book()
    old = book.begin(record())

    book.release(old)
    book.renew([old])

    assert book.claim(old.rotation_id) is not None


def test_lease_that_is_not_renewed_ends_and_its_holder_is_refused_from_then_on(kit: Kit) -> None:
    first, second = kit.book(1), kit.book(2)
    old = first.begin(record())
    kit.clock.advance(LEASE_S - 1)
    first.renew([old])
    kit.clock.advance(LEASE_S - 1)
    assert second.claim("rotation_1") is None
    kit.clock.advance(2)

    new = second.claim("rotation_1")

    assert new is not None
    assert new.fence > old.fence
    for attempt in (
        lambda: first.read(old),
        lambda: first.change(old, lambda one: one),
        lambda: first.replace(old, record(), record(), owed=(), entry=lambda one: one),
    ):
        with pytest.raises(LeaseLostError):
            attempt()
    first.renew([old])
    first.release(old)
    assert first.claim("rotation_1") is None


def test_lease_that_was_let_go_is_free_and_counts_no_attempt(kit: Kit) -> None:
    first = kit.book(1)
    first.release(first.begin(record()))

    claim = kit.book(2).claim("rotation_1")

    assert claim is not None
    assert kit.book(2).read(claim).tries == 0


def test_lease_of_another_boot_is_free(kit: Kit) -> None:
    kit.book(1).begin(record(retry_s=1e9))
    later = kit.book(1)
    later._me = later._me.__class__(boot_id="next", pid=1, start_ticks=1)

    claim = later.claim("rotation_1")

    assert claim is not None
    assert later.read(claim).retry_s == 0.0


def test_what_is_wanted_meanwhile_is_not_lost(kit: Kit) -> None:
    book = kit.book()
    claim = book.begin(record())
    seen = book.read(claim)
    book.amend("rotation_1", lambda one: record(unwanted="by ann"))

    book.change(claim, lambda one: one)

    assert book.read(claim).unwanted == "by ann"
    assert book.read(claim) != seen


def test_ended_one_is_not_amended(kit: Kit) -> None:
    book = kit.book()
    end_one(book, 1)

    with pytest.raises(SecretConflictError, match="has ended"):
        book.amend("rotation_1", lambda one: one)
    assert book.claim("rotation_1") is None


def end_one(book: Book, number: int) -> None:
    begun = record(RotationStep.RETIRED, rotation_id=f"rotation_{number}", boot="boot 1")
    claim = book.begin(begun)
    ended = turned(begun, End(outcome=RotationOutcome.ROTATED), at=AT, now_s=1.0)
    book.replace(claim, begun, ended, owed=(), entry=lambda one: one)


def test_history_and_events_are_bounded(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.secrets.rotation.book.ENDED_MAX", 5)
    monkeypatch.setattr("resile.secrets.rotation.book.NEWS_MAX", 7)
    book = kit.book()
    for number in range(20):
        end_one(book, number)
        kit.clock.advance(timedelta(days=1).total_seconds())
    end_one(book, 99)

    assert len(book.ended(100)) <= 5 + 2
    assert book.ended(1)[0].rotation_id == "rotation_99"
    assert len(book.news(100)) <= 7 + 3
    assert (ENDED_MAX, NEWS_MAX) == (1000, 10_000)


def test_last_day_is_kept_for_the_budgets(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.secrets.rotation.book.ENDED_MAX", 5)
    book = kit.book()
    for number in range(20):
        end_one(book, number)

    assert len(book.ended(100)) == 20


def test_book_can_be_used_after_it_was_closed(kit: Kit) -> None:
    book = kit.book()
    book.begin(record())
    book.close()

    assert [one.rotation_id for one in book.open_ones()] == ["rotation_1"]
    assert book.find("rotation_9") is None
