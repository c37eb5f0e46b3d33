"""Readings become predictions that are journalled, judged, and taken up by the next brain."""

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from resile.core.events import BrainStopped, Payload, PredictionEnded, PredictionMade
from resile.core.vocabulary import PredictionOutcome, Resource
from resile.health.prediction import (
    SAMPLE_S,
    Outlook,
    Predictions,
    Predictor,
    Reading,
    Source,
    TrendGuard,
)
from resile.health.prediction import watch as watch_module
from resile.health.prediction.decide import LATE_S, QUIET_S
from resile.health.prediction.track import REMEMBERED_COUNT
from resile.health.prediction.watch import GONE_S
from resile.health.prediction.watched import BLIND_S, GAP_S
from resile.testing import FakeClock

MEMORY = Source(resource=Resource.MEMORY, target="service/api")
FILES = Source(resource=Resource.DESCRIPTORS, target="service/api")
OTHER = Source(resource=Resource.MEMORY, target="service/other")


class Told:
    """A predictor that expects what the test says."""

    made = 0
    expects = True

    def __init__(self) -> None:
        type(self).made += 1

    def observe(self, at_s: float, share: float) -> Outlook | None:
        if not type(self).expects:
            return None
        return Outlook(left_s=200.0, confidence=0.8, slope_per_s=0.001)


@pytest.fixture
def told() -> type[Told]:
    class Fresh(Told):
        pass

    return Fresh


class Watching:
    """Predictions, a clock, and everything that was journalled."""

    def __init__(self, make: Callable[[], Predictor], clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.predictions = Predictions(clock=self.clock, make=make, name="told")
        self.journalled: list[Payload] = []

    def see(
        self, source: Source = MEMORY, *, count: int = 1, share: float = 0.8, epoch: str = "1"
    ) -> list[Payload]:
        before = len(self.journalled)
        for _ in range(count):
            reading = Reading(source=source, used=share * 200, limit=200.0, epoch=epoch)
            self.journalled += self.predictions.observe([reading])
            self.clock.advance(SAMPLE_S)
        return self.journalled[before:]


def outcomes(payloads: Iterable[Payload]) -> list[PredictionOutcome]:
    return [one.outcome for one in payloads if isinstance(one, PredictionEnded)]


def test_prediction_tells_what_when_and_by_whom(told: type[Told]) -> None:
    watching = Watching(told)

    (made,) = watching.see(count=3)

    at = watching.clock.now() - timedelta(seconds=SAMPLE_S)
    assert isinstance(made, PredictionMade)
    assert (made.resource, made.target, made.predictor) == (Resource.MEMORY, "service/api", "told")
    assert (made.used, made.limit, made.left_s) == (160.0, 200.0, 200.0)
    assert made.expected_at == at + timedelta(seconds=200)
    assert made.confidence == pytest.approx(0.8 * 0.75)
    assert made.subject == "service/api"
    assert made.correlation_id == made.prediction_id
    assert not made.is_muted


def test_forecast_is_as_it_looks_now(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)
    watching.see(share=0.9)

    (forecast,) = watching.predictions.forecasts()

    assert forecast.left_s == 200.0
    assert forecast.used == 180.0
    assert forecast.slope_per_s == pytest.approx(0.2)

    told.expects = False
    watching.see(share=0.9)
    (later,) = watching.predictions.forecasts()

    assert later.left_s == pytest.approx(200.0 - 3 * SAMPLE_S)


def test_what_reached_its_limit_came_true(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=5)

    (ended,) = watching.see(share=1.0)

    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.CAME_TRUE
    assert ended.after_s == 3 * SAMPLE_S
    assert "100%" in ended.reason
    assert watching.predictions.forecasts() == ()


def test_what_did_not_reach_it_in_time_did_not_come_true(told: type[Told]) -> None:
    watching = Watching(told)

    payloads = watching.see(count=int(LATE_S / SAMPLE_S) + 4)

    assert outcomes(payloads) == [PredictionOutcome.DID_NOT]


TRUE, AVERTED = PredictionOutcome.CAME_TRUE, PredictionOutcome.AVERTED


@pytest.mark.parametrize(
    ("has_failed", "lacked_memory", "share", "memory", "files"),
    [
        (True, True, 0.8, TRUE, AVERTED),
        (True, False, 0.8, AVERTED, AVERTED),
        (True, False, 0.9, TRUE, TRUE),
        (False, False, 0.95, AVERTED, AVERTED),
    ],
)
def test_end_of_the_process_tells_what_came_of_it(
    told: type[Told],
    has_failed: bool,
    lacked_memory: bool,
    share: float,
    memory: PredictionOutcome,
    files: PredictionOutcome,
) -> None:
    watching = Watching(told)
    for source in (MEMORY, FILES, OTHER):
        watching.see(source, count=3, share=share)

    payloads = watching.predictions.end_process(
        "service/api", has_failed=has_failed, lacked_memory=lacked_memory
    )

    assert outcomes(payloads) == [memory, files]
    assert [one.target for one in watching.predictions.forecasts()] == ["service/other"]


def test_what_was_done_about_a_target_averts_its_predictions(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)
    watching.see(OTHER, count=3)

    (ended,) = watching.predictions.avert("service/api", "old logs were removed")

    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.AVERTED
    assert ended.reason == "old logs were removed"
    assert watching.predictions.avert("service/api", "again") == ()


def test_other_process_is_another_story(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)

    payloads = watching.see(epoch="2", count=3)

    assert outcomes(payloads) == [PredictionOutcome.AVERTED]
    assert isinstance(payloads[-1], PredictionMade)
    assert told.made == 3


def test_predictor_begins_anew_after_a_gap_and_the_prediction_stays(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)
    made = told.made
    told.expects = False
    watching.clock.advance(GAP_S)

    payloads = watching.see(count=int(QUIET_S / SAMPLE_S) + 2)

    assert told.made == made + 1
    assert payloads == []
    assert len(watching.predictions.forecasts()) == 1


def test_what_is_not_measured_any_more_is_let_go(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)
    watching.clock.advance(GONE_S + 1)

    payloads = watching.predictions.observe([])

    assert outcomes(payloads) == [PredictionOutcome.AVERTED]
    assert watching.predictions.observe([]) == ()


def test_there_is_room_for_so_many_and_the_gone_make_room(
    told: type[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SOURCES_MAX", 1)
    watching = Watching(told)
    watching.see(MEMORY)

    assert watching.see(OTHER, count=5) == []
    watching.clock.advance(GONE_S + 1)
    assert len(watching.see(OTHER, count=3)) == 1


def test_predictor_that_is_wrong_again_and_again_mutes_itself_there_alone(
    told: type[Told],
) -> None:
    watching = Watching(told)

    while len(outcomes(watching.journalled)) < 11:
        watching.see(count=10)

    made = [one for one in watching.journalled if isinstance(one, PredictionMade)]
    assert [one.is_muted for one in made[: REMEMBERED_COUNT + 1]] == [False] * 10 + [True]
    assert watching.predictions.tracks()[MEMORY].is_muted
    (other,) = (one for one in watching.see(OTHER, count=3) if one.subject == "service/other")
    assert isinstance(other, PredictionMade)
    assert not other.is_muted


def restarted(watching: Watching, make: Callable[[], Predictor]) -> Watching:
    """Begin a new brain with what the last one journalled."""
    after = Watching(make, clock=watching.clock)
    for payload in watching.journalled:
        after.predictions.restore(payload, watching.clock.now())
    return after


def test_next_brain_takes_up_what_is_open_and_how_right_it_was(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=4)
    watching.see(share=1.0)
    watching.see(count=3)
    told.expects = False

    after = restarted(watching, told)

    (forecast,) = after.predictions.forecasts()
    assert forecast.target == "service/api"
    assert after.predictions.tracks()[MEMORY].precision == 1.0
    assert outcomes(after.see(share=1.0)) == [PredictionOutcome.CAME_TRUE]


def test_silence_of_a_new_predictor_ends_nothing_that_is_open(told: type[Told]) -> None:
    watching = Watching(told)
    watching.see(count=3)
    told.expects = False
    after = restarted(watching, told)

    quiet = after.see(count=int(BLIND_S / SAMPLE_S))

    assert quiet == []


def test_other_records_and_other_predictors_are_passed_over(told: type[Told]) -> None:
    watching = Watching(told)
    (made,) = watching.see(count=3)
    stranger = Predictions(clock=watching.clock)

    stranger.restore(BrainStopped(reason="done"), watching.clock.now())
    stranger.restore(None, watching.clock.now())
    stranger.restore(made, watching.clock.now())

    assert stranger.forecasts() == ()


def test_real_leak_in_a_real_watch_is_predicted_and_comes_true() -> None:
    watching = Watching(TrendGuard)

    for number in range(401):
        watching.see(share=0.3 + 0.7 * number / 400)

    made, ended = watching.journalled
    assert isinstance(made, PredictionMade)
    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.CAME_TRUE
    assert 200 < ended.after_s < 300
