"""What the storekeeper tells of what it does: at once, and progress now and then."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from resile.daemon.storekeeper.model import Job, JobKind, Pass
from resile.daemon.storekeeper.work import Work
from resile.testing import FakeClock

SNAPSHOT = Job(kind=JobKind.SNAPSHOT, name="kb")
SCRUB = Job(kind=JobKind.SCRUB, name="store")


class Told:
    """A brain that listens."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.messages: list[Any] = []
        self.work = Work(clock=self.clock, send=self.hear)

    def hear(self, message: Mapping[str, Any]) -> None:
        self.messages.append(message["work"])

    @property
    def jobs(self) -> list[tuple[str, int, int]]:
        return [(one["kind"], one["files"], one["bytes"]) for one in self.messages[-1]["jobs"]]


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_error_ends_it_as_well(told: Told) -> None:
    def fail() -> None:
        with told.work.doing(SNAPSHOT):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [len(one["jobs"]) for one in told.messages] == [1, 0]


def test_progress_is_told_once_a_second(told: Told) -> None:
    with told.work.doing(SNAPSHOT, total_bytes=900) as progress:
        for number in range(1, 100):
            progress(number, 10 * number)
        assert len(told.messages) == 1
        told.clock.advance(1)
        progress(100, 1000)
        assert told.jobs == [("snapshot", 100, 1000)]

    assert len(told.messages) == 3
    assert told.messages[0]["jobs"][0]["total_bytes"] == 900


def test_two_who_do_the_same_are_told_both(told: Told) -> None:
    with told.work.doing(SNAPSHOT):
        with told.work.doing(SNAPSHOT):
            assert len(told.jobs) == 2
        assert len(told.jobs) == 1


def test_a_pass_is_there_until_it_is_over(told: Told) -> None:
    one = Pass(began_at=told.clock.now(), files=3, bytes=30)
    told.work.passed(SCRUB, one)
    told.clock.advance(5)
    with told.work.doing(SNAPSHOT):
        assert told.jobs == [("snapshot", 0, 0), ("scrub", 3, 30)]
    assert told.messages[-1]["jobs"][0]["since"] == one.began_at.isoformat()  # type: ignore[union-attr]

    told.work.passed(SCRUB, replace(one, is_over=True))
    assert told.jobs == []
    count = len(told.messages)
    told.work.passed(SCRUB, replace(one, is_over=True))
    assert len(told.messages) == count


def test_what_follows_has_its_time(told: Told) -> None:
    """Another one is told at once, the same again is not."""
    told.work.follows(SCRUB, 1.0)
    told.work.follows(SNAPSHOT, 59.0)
    told.work.follows(SNAPSHOT, 60.0)
    for _ in range(10):
        told.work.follows(SNAPSHOT, 60.0001)
    assert len(told.messages) == 3

    found = told.messages[-1]["next"]
    assert (found["kind"], found["name"]) == ("snapshot", "kb")
    told.clock.advance(60)
    assert found["at"] == told.clock.now().isoformat()
