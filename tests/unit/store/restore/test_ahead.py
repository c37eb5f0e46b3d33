"""Blobs are read a little before they are needed, and never many."""

import threading

from tests.support.restoring import MemoryReader

from resile.store.restore.ahead import _AHEAD_MAX, ReadAhead

WAIT_S = 20.0


def test_reading_goes_on_as_the_writer_does_and_no_further() -> None:
    reader = MemoryReader()
    ids = [reader.add_blob(b"%d" % n) for n in range(20)]
    read = threading.Semaphore(0)
    reader.before_read = read.release
    ahead = ReadAhead(reader, ids)

    with ahead.running():
        first = [read.acquire(timeout=WAIT_S) for _ in range(_AHEAD_MAX + 1)]
        ahead.read_blob(ids[10])
        then = [read.acquire(timeout=WAIT_S) for _ in range(_AHEAD_MAX + 2)]

    assert all(first + then)
    assert len(reader.reads) == 2 * (_AHEAD_MAX + 1) + 1
    assert set(reader.reads) == {*ids[:5], *ids[10 : 10 + _AHEAD_MAX + 1]}


def test_what_is_damaged_is_left_to_the_writer() -> None:
    reader = MemoryReader()
    ids = [b"m" * 32, reader.add_blob(b"there")]
    read = threading.Semaphore(0)
    reader.before_read = read.release

    with ReadAhead(reader, ids).running():
        both = [read.acquire(timeout=WAIT_S) for _ in ids]

    assert all(both)


def test_the_end_does_not_wait_for_what_nobody_reads() -> None:
    reader = MemoryReader()

    with ReadAhead(reader, [reader.add_blob(b"%d" % n) for n in range(20)]).running():
        pass

    assert len(reader.reads) <= _AHEAD_MAX + 1
