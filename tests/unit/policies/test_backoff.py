"""How long a retry waits: growth, jitter, and what a sender asks for; and what counts as a failure."""

import random
from concurrent.futures import CancelledError as FutureCancelled
from datetime import timedelta
from email.utils import format_datetime

import pytest

from resile.errors import RateLimitedError
from resile.policies.backoff import Backoff, Jitter, Schedule
from resile.policies.classify import is_failure, retry_after_of
from resile.policies.retry import Retry
from resile.testing import FakeClock


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (Backoff.CONSTANT, [1, 1, 1, 1, 1]),
        (Backoff.LINEAR, [1, 2, 3, 4, 5]),
        (Backoff.EXPONENTIAL, [1, 3, 9, 9.5, 9.5]),
        (Backoff.FIBONACCI, [1, 1, 2, 3, 5]),
    ],
)
def test_each_kind_of_backoff_grows_as_it_says(kind: Backoff, waits: list[float]) -> None:
    schedule = Schedule(kind=kind, initial_s=1, max_s=9.5, multiplier=3, jitter=Jitter.NONE)

    assert [schedule.wait_s(n, 0, random.Random(0)) for n in range(1, 6)] == waits
    assert schedule.wait_s(10_000, 0, random.Random(0)) <= 9.5


@pytest.mark.parametrize(
    ("jitter", "low", "high"),
    [(0.5, 4, 6), (Jitter.FULL, 0, 4), (Jitter.EQUAL, 2, 4), (Jitter.DECORRELATED, 1, 3 * 2.5)],
)
def test_jitter_spreads_within_its_range(jitter: Jitter | float, low: float, high: float) -> None:
    schedule = Schedule(
        kind=Backoff.EXPONENTIAL, initial_s=1, max_s=20, multiplier=2, jitter=jitter
    )
    chance = random.Random(3)

    waits = [schedule.wait_s(3, 2.5, chance) for _ in range(500)]

    assert low <= min(waits) < max(waits) <= high
    assert max(waits) - min(waits) > (high - low) * 0.9
    assert all(wait <= schedule.longest_s(3) or jitter is Jitter.DECORRELATED for wait in waits)


def test_decorrelated_jitter_at_its_cap_stays_spread() -> None:
    schedule = Schedule(
        kind=Backoff.EXPONENTIAL, initial_s=1, max_s=5, multiplier=2, jitter=Jitter.DECORRELATED
    )
    chance = random.Random(3)

    waits = {schedule.wait_s(9, 5, chance) for _ in range(100)}

    assert len(waits) == 100
    assert max(waits) <= schedule.longest_s(9) == 5


def test_a_wait_that_is_more_than_a_float_can_hold_is_the_longest() -> None:
    schedule = Retry(attempts=1000, multiplier=100, jitter=0).schedule()

    assert schedule.wait_s(999, 0, random.Random(0)) == 10


class AnswerError(Exception):
    def __init__(self, value: object) -> None:
        self.response = type("Response", (), {"headers": {"Retry-After": value}})()


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = FakeClock().now()

    assert retry_after_of(AnswerError("12"), now) == 12
    assert retry_after_of(AnswerError(format_datetime(now + timedelta(seconds=30))), now) == 30
    assert retry_after_of(AnswerError("Tue, 01 Jan 2030 00:00:09 -0000"), now) == 9
    assert retry_after_of(AnswerError(format_datetime(now - timedelta(seconds=30))), now) == 0
    for nothing in ("", None, "soon", -1.0, float("nan")):
        assert retry_after_of(AnswerError(nothing), now) is None
    assert retry_after_of(OSError(), now) is None


def test_a_breaker_does_not_count_rejections_and_cancelled_futures() -> None:
    assert is_failure(OSError(), Exception, ())
    assert not is_failure(OSError(), Exception, OSError)
    assert not is_failure(RateLimitedError("x", retry_after_s=1), Exception, ())
    assert not is_failure(FutureCancelled(), Exception, ())
