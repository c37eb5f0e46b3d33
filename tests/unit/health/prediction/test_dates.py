"""What ends on a known date is told in time, and no more when it is renewed."""

from datetime import datetime, timedelta

import pytest

from resile.core.events import Payload, PredictionEnded, PredictionMade
from resile.core.vocabulary import PredictionOutcome, Resource
from resile.health.prediction import Expiry, Predictions, Source
from resile.testing import FakeClock

SITE = Source(resource=Resource.CERTIFICATE, target="check/site")
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def predictions(clock: FakeClock) -> Predictions:
    return Predictions(clock=clock)


def expiry(clock: FakeClock, *, left: timedelta, lifetime: timedelta = 365 * DAY) -> Expiry:
    until = clock.now() + left
    return Expiry(source=SITE, since=until - lifetime, until=until)


def kinds(payloads: tuple[Payload, ...]) -> list[str]:
    return [one.outcome.value if isinstance(one, PredictionEnded) else one.kind for one in payloads]


@pytest.mark.parametrize(
    ("left", "lifetime", "is_told"),
    [
        (15 * DAY, 365 * DAY, False),
        (13 * DAY, 365 * DAY, True),
        (12 * DAY, 90 * DAY, False),
        (11 * DAY, 90 * DAY, True),
        (timedelta(minutes=8), timedelta(hours=1), False),
        (timedelta(minutes=7), timedelta(hours=1), True),
        (timedelta(0), 365 * DAY, False),
        (-DAY, 365 * DAY, False),
    ],
)
def test_it_is_told_two_weeks_before_or_an_eighth_of_a_shorter_life(
    clock: FakeClock,
    predictions: Predictions,
    left: timedelta,
    lifetime: timedelta,
    is_told: bool,
) -> None:
    payloads = predictions.expire([expiry(clock, left=left, lifetime=lifetime)])

    assert len(payloads) == is_told


def test_it_is_told_once_and_exactly(clock: FakeClock, predictions: Predictions) -> None:
    end = expiry(clock, left=DAY)

    (made,) = predictions.expire([end])
    again = predictions.expire([end])
    clock.advance(3600)
    (forecast,) = predictions.forecasts()

    assert isinstance(made, PredictionMade)
    assert made.expected_at == end.until
    assert made.confidence == 1.0
    assert again == ()
    assert forecast.left_s == 23 * 3600


def test_renewal_averts_it(clock: FakeClock, predictions: Predictions) -> None:
    predictions.expire([expiry(clock, left=DAY)])

    payloads = predictions.expire([expiry(clock, left=90 * DAY)])

    assert kinds(payloads) == ["averted"]
    assert predictions.forecasts() == ()


def test_renewal_that_lasts_no_longer_is_told_anew(
    clock: FakeClock, predictions: Predictions
) -> None:
    predictions.expire([expiry(clock, left=2 * DAY)])

    payloads = predictions.expire([expiry(clock, left=DAY)])

    assert kinds(payloads) == ["averted", "prediction.made"]


def test_it_comes_true_when_its_time_is_over_even_if_nobody_answers(
    clock: FakeClock, predictions: Predictions
) -> None:
    predictions.expire([expiry(clock, left=DAY)])
    clock.advance(86_400)

    payloads = predictions.expire([])

    assert kinds(payloads) == ["came_true"]
    assert predictions.expire([]) == ()


def test_date_that_is_not_known_for_a_while_changes_nothing(
    clock: FakeClock, predictions: Predictions
) -> None:
    predictions.expire([expiry(clock, left=DAY)])

    assert predictions.expire([]) == ()
    assert len(predictions.forecasts()) == 1


def test_next_brain_goes_on_with_it(clock: FakeClock, predictions: Predictions) -> None:
    end = expiry(clock, left=DAY)
    (made,) = predictions.expire([end])
    after = Predictions(clock=clock)
    after.restore(made, clock.now())

    assert after.expire([end]) == ()
    (ended,) = after.expire([expiry(clock, left=90 * DAY)])

    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.AVERTED
    third = Predictions(clock=clock)
    third.restore(made, clock.now())
    third.restore(ended, clock.now())
    assert third.forecasts() == ()


def test_dates_count_for_no_track_record(clock: FakeClock, predictions: Predictions) -> None:
    assert isinstance(clock.now(), datetime)
    predictions.expire([expiry(clock, left=DAY)])
    clock.advance(2 * 86_400)
    predictions.expire([])

    assert predictions.tracks() == {}
