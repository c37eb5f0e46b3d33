"""How old copies may get, and when people hear that one is too old."""

from datetime import timedelta

from tests.support.shell import EPOCH

from resile.core.events import ObjectiveAtRisk, ObjectiveMissed, Payload, SnapshotTaken
from resile.recover.points import RecoveryPoints

PERIODS = {"/data": 60.0}


def taken(folder: str = "/data") -> SnapshotTaken:
    return SnapshotTaken(
        place="store",
        snapshot_id="snp_1",
        source=folder,
        files=1,
        bytes=1,
        new_bytes=1,
        stored_bytes=1,
        duration_s=0.1,
    )


def at(seconds: float):  # type: ignore[no-untyped-def]
    return EPOCH + timedelta(seconds=seconds)


def due(points: RecoveryPoints, seconds: float) -> list[type[Payload]]:
    """Give what is told at a time, and fold it."""
    found = list(points.due(at(seconds)))
    for payload in found:
        points.take(payload, at(seconds))
    return [type(payload) for payload in found]


def test_a_copy_that_is_young_enough_is_not_told_of() -> None:
    points = RecoveryPoints(periods_s=PERIODS, began_at=EPOCH)
    points.take(taken(), at(10))

    assert due(points, 99) == []


def test_people_hear_before_a_copy_is_too_old_and_when_it_is_once_each() -> None:
    points = RecoveryPoints(periods_s=PERIODS, began_at=EPOCH)
    points.take(taken(), at(10))

    assert [due(points, s) for s in (100, 101, 129, 130, 131)] == [
        [ObjectiveAtRisk],
        [],
        [],
        [ObjectiveMissed],
        [],
    ]
    assert [folder for folder, _, _ in points.missed(at(130))] == ["/data"]


def test_a_new_copy_ends_it() -> None:
    points = RecoveryPoints(periods_s=PERIODS, began_at=EPOCH)
    due(points, 500)
    points.take(taken(), at(501))

    assert due(points, 502) == []
    assert list(points.missed(at(502))) == []
    assert due(points, 501 + 90) == [ObjectiveAtRisk]


def test_the_time_without_a_daemon_does_not_count() -> None:
    points = RecoveryPoints(periods_s=PERIODS, began_at=at(10_000))
    points.take(taken(), at(0))

    assert due(points, 10_050) == []
    assert due(points, 10_090) == [ObjectiveAtRisk]


def test_a_new_brain_does_not_tell_again_what_was_told() -> None:
    points = RecoveryPoints(periods_s=PERIODS, began_at=EPOCH)
    (risk,) = points.due(at(100))
    again = RecoveryPoints(periods_s=PERIODS, began_at=EPOCH)
    again.take(risk, at(100))

    assert due(again, 101) == []
    assert "there is no copy" in risk.reason


def test_other_folders_are_passed_over() -> None:
    points = RecoveryPoints(periods_s=PERIODS)
    points.take(taken("/other"), at(1))

    assert points.taken == {}
    assert due(points, 10_000) == []
