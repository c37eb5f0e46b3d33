"""A queue of what expires: order, bounds, and what is refused."""

from math import inf

from resile.policies.expiries import Expiries


class Entry:
    def __init__(self, due_at: float) -> None:
        self.due_at = due_at
        self.is_live = True


def add(queue: Expiries[Entry], *entries: Entry) -> None:
    """Append as the lanes of time-outs do."""
    queue.queue.extend(entries)
    queue.live += len(entries)


def end(queue: Expiries[Entry], entry: Entry) -> None:
    """End an entry before it expires, as the lanes do while another is live."""
    entry.is_live = False
    queue.live -= 1
    queue.sweep()


def test_what_is_due_is_given_once_in_order() -> None:
    queue: Expiries[Entry] = Expiries()
    entries = [Entry(1.0), Entry(2.0), Entry(3.0)]
    add(queue, *entries)

    assert queue.expire(0.5) == []
    assert queue.expire(2.0) == entries[:2]
    assert queue.next_at() == 3.0
    assert queue.expire(5.0) == entries[2:]
    assert queue.next_at() == inf


def test_what_has_ended_does_not_expire() -> None:
    queue: Expiries[Entry] = Expiries()
    first, second, third = Entry(1.0), Entry(1.0), Entry(2.0)
    add(queue, first, second, third)
    end(queue, second)

    assert queue.expire(1.0) == [first]
    assert list(queue.queue) == [third]


def test_what_ended_in_front_leaves_at_once() -> None:
    queue: Expiries[Entry] = Expiries()
    first, second = Entry(1.0), Entry(2.0)
    add(queue, first, second)
    end(queue, first)

    assert list(queue.queue) == [second]
    assert queue.next_at() == 2.0


def test_ended_entries_behind_a_long_call_are_swept() -> None:
    queue: Expiries[Entry] = Expiries()
    add(queue, Entry(1.0))

    for _ in range(10_000):
        entry = Entry(1.0)
        add(queue, entry)
        end(queue, entry)

    assert len(queue) < 100
