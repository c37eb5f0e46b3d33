"""A queue of what expires: order, bounds, and what is refused."""

from math import inf

from resile.policies.expiries import Expiries


class Entry:
    def __init__(self, due_at: float) -> None:
        self.due_at = due_at
        self.is_live = True


def test_what_is_due_is_given_once_in_order() -> None:
    queue: Expiries[Entry] = Expiries()
    entries = [Entry(1.0), Entry(2.0), Entry(3.0)]
    for entry in entries:
        queue.add(entry)

    assert queue.expire(0.5) == []
    assert queue.expire(2.0) == entries[:2]
    assert queue.next_at() == 3.0
    assert queue.expire(5.0) == entries[2:]
    assert queue.next_at() == inf


def test_what_has_ended_does_not_expire() -> None:
    queue: Expiries[Entry] = Expiries()
    first, second, third = Entry(1.0), Entry(1.0), Entry(2.0)
    for entry in (first, second, third):
        queue.add(entry)
    queue.end(second)

    assert queue.expire(1.0) == [first]
    assert len(queue) == 1


def test_what_expires_before_another_is_refused() -> None:
    queue: Expiries[Entry] = Expiries()
    queue.add(Entry(5.0))

    assert not queue.add(Entry(4.0))
    assert len(queue) == 1


def test_ended_entries_behind_a_long_call_are_swept() -> None:
    queue: Expiries[Entry] = Expiries()
    queue.add(Entry(1.0))

    for _ in range(10_000):
        entry = Entry(1.0)
        queue.add(entry)
        queue.end(entry)

    assert len(queue) < 100
