"""Every access is recorded before its value is given, and equal ones within a second only once."""

import threading
from dataclasses import replace

import pytest

from resile.core.events import Payload, SecretAccessed
from resile.core.vocabulary import AccessOutcome
from resile.daemon.secretkeeper.recording import WINDOWS_MAX, Recorder
from resile.errors import ProviderDownError
from resile.testing.clock import FakeClock

ACCESS = SecretAccessed(
    name="db/password",
    number="3",
    client="service/web",
    pid=42,
    uid=1000,
    outcome=AccessOutcome.GIVEN,
)


class Journal:
    """Keeps what it is told, or fails."""

    def __init__(self) -> None:
        self.told: list[Payload] = []
        self.is_down = False

    def tell(self, *payloads: Payload) -> None:
        if self.is_down:
            raise ProviderDownError("could not be recorded")
        self.told.extend(payloads)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def recorder(journal: Journal, clock: FakeClock) -> Recorder:
    return Recorder(journal.tell, clock=clock)


def test_what_cannot_be_recorded_is_refused_and_recorded_the_next_time(
    recorder: Recorder, journal: Journal
) -> None:
    journal.is_down = True
    with pytest.raises(ProviderDownError):
        recorder.record(ACCESS)

    journal.is_down = False
    recorder.record(ACCESS)

    assert journal.told == [ACCESS]


def test_equal_accesses_within_a_second_are_one_record_more(
    recorder: Recorder, journal: Journal, clock: FakeClock
) -> None:
    for _ in range(5):
        recorder.record(ACCESS)
    assert journal.told == [ACCESS]

    recorder.flush()
    assert journal.told == [ACCESS]
    clock.advance(1.0)
    recorder.flush()

    assert journal.told == [ACCESS, replace(ACCESS, count=4)]
    recorder.flush()
    assert len(journal.told) == 2


def test_access_after_a_second_takes_those_before_it_along(
    recorder: Recorder, journal: Journal, clock: FakeClock
) -> None:
    recorder.record(ACCESS)
    recorder.record(ACCESS)
    clock.advance(1.5)
    recorder.record(ACCESS)

    assert journal.told == [ACCESS, replace(ACCESS, count=2)]


def test_another_client_version_or_outcome_is_another_record(
    recorder: Recorder, journal: Journal
) -> None:
    others = [
        replace(ACCESS, client="service/job"),
        replace(ACCESS, number="4"),
        replace(ACCESS, outcome=AccessOutcome.DENIED),
        replace(ACCESS, pid=43),
    ]
    for one in (ACCESS, *others):
        recorder.record(one)

    assert journal.told == [ACCESS, *others]


def test_equal_access_waits_until_the_first_one_is_durable(clock: FakeClock) -> None:
    is_told, may_end = threading.Event(), threading.Event()
    told: list[Payload] = []

    def tell(*payloads: Payload) -> None:
        is_told.set()
        assert may_end.wait(10)
        told.extend(payloads)

    recorder = Recorder(tell, clock=clock)
    threads = [threading.Thread(target=recorder.record, args=(ACCESS,)) for _ in range(2)]
    threads[0].start()
    assert is_told.wait(10)
    threads[1].start()
    threads[1].join(0.02)

    assert threads[1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert told == [ACCESS]


def test_counting_is_bounded(recorder: Recorder, journal: Journal) -> None:
    for number in range(WINDOWS_MAX + 10):
        recorder.record(replace(ACCESS, number=str(number)))

    assert len(recorder._windows) <= WINDOWS_MAX
    assert len(journal.told) == WINDOWS_MAX + 10
