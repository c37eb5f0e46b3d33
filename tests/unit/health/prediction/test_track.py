"""A predictor that is wrong too often is muted, and heard again when it is right."""

import pytest

from resile.core.vocabulary import PredictionOutcome
from resile.health.prediction.track import REMEMBERED_COUNT, TrackRecord

RIGHT, WRONG, AVERTED = (
    PredictionOutcome.CAME_TRUE,
    PredictionOutcome.DID_NOT,
    PredictionOutcome.AVERTED,
)


def record(*outcomes: PredictionOutcome) -> TrackRecord:
    track = TrackRecord()
    for outcome in outcomes:
        track.note(outcome)
    return track


def test_unknown_predictor_is_trusted_as_on_made_series() -> None:
    track = record()

    assert track.precision is None
    assert track.trust == 0.75
    assert not track.is_muted


def test_it_is_not_muted_before_it_has_had_ten() -> None:
    assert not record(*[WRONG] * (REMEMBERED_COUNT - 1)).is_muted


@pytest.mark.parametrize(("right", "is_muted"), [(0, True), (4, True), (5, False), (10, False)])
def test_it_is_muted_below_a_half(right: int, is_muted: bool) -> None:
    track = record(*[RIGHT] * right, *[WRONG] * (REMEMBERED_COUNT - right))

    assert track.precision == right / REMEMBERED_COUNT
    assert track.is_muted is is_muted


def test_it_is_heard_again_when_half_of_its_last_ten_were_right() -> None:
    track = record(*[WRONG] * REMEMBERED_COUNT)

    for _ in range(5):
        assert track.is_muted
        track.note(RIGHT)

    assert not track.is_muted


def test_what_was_averted_tells_nothing() -> None:
    track = record(*[WRONG] * REMEMBERED_COUNT, *[AVERTED] * 20)

    assert track.count == REMEMBERED_COUNT
    assert track.is_muted


def test_trust_follows_what_was_seen() -> None:
    assert record(WRONG).trust < record().trust < record(RIGHT).trust < 1
