"""When memory is about to run out, from readings on paper."""

from datetime import UTC, datetime, timedelta

import pytest

from resile.core.vocabulary import MemoryLevel
from resile.health.memory import (
    CALM_S,
    OF_MACHINE,
    OF_SERVICE,
    PACE_READINGS,
    MemoryReading,
    MemoryState,
    Thresholds,
    advance,
    left_s,
    reason_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20
CALM, HIGH, CRITICAL = MemoryLevel
LIMIT = 1000 * MIB


class Meter:
    """Reads once a second."""

    def __init__(self, thresholds: Thresholds = OF_SERVICE) -> None:
        self.thresholds = thresholds
        self.state = MemoryState()
        self.at = NOW

    def read(self, used_mib: float, *, stalled_share: float = 0.0) -> MemoryLevel:
        self.at += timedelta(seconds=1)
        reading = MemoryReading(
            at=self.at,
            used_bytes=int(used_mib * MIB),
            limit_bytes=LIMIT,
            stalled_share=stalled_share,
        )
        self.state = advance(self.state, reading, self.thresholds)
        return self.state.level

    def hold(self, used_mib: float, seconds: int, **options: float) -> MemoryLevel:
        for _ in range(seconds):
            level = self.read(used_mib, **options)
        return level


def test_one_reading_is_no_trend() -> None:
    meter = Meter()

    assert [meter.read(used) for used in (500, 990, 500, 990, 500)] == [CALM] * 5


def test_level_is_reached_after_two_readings_in_a_row() -> None:
    meter = Meter()

    assert [meter.read(used) for used in (860, 860)] == [CALM, HIGH]
    assert [meter.read(used) for used in (960, 960)] == [HIGH, CRITICAL]


def test_of_two_bad_readings_the_milder_counts() -> None:
    meter = Meter()
    meter.hold(845, 10)

    assert [meter.read(used) for used in (990, 860)] == [CALM, HIGH]


def test_limit_that_is_seconds_away_is_critical_before_it_is_near() -> None:
    meter = Meter()

    levels = [meter.read(700 + 40 * second) for second in range(6)]

    assert levels == [CALM, CALM, CALM, CALM, CALM, CRITICAL]


def test_program_that_takes_a_lot_at_its_start_and_stays_there_is_not_critical() -> None:
    meter = Meter()

    levels = [meter.read(used) for used in (100, 500, 870, 880, 881, 881, 882, 882)]

    assert CRITICAL not in levels


def test_use_that_is_high_and_flat_is_not_critical() -> None:
    assert Meter().hold(940, 600) is HIGH


def test_slow_growth_is_not_critical_before_it_is_near_the_limit() -> None:
    meter = Meter()

    levels = [meter.read(860 + 0.5 * second) for second in range(100)]

    assert CRITICAL not in levels


def test_level_is_left_when_it_has_been_better_for_a_while() -> None:
    meter = Meter()
    meter.hold(980, 5)

    assert meter.hold(500, int(CALM_S)) is CRITICAL
    assert meter.read(500) is CALM


def test_better_means_clearly_better() -> None:
    meter = Meter()
    meter.hold(960, 5)

    assert meter.hold(930, 60) is CRITICAL
    assert meter.hold(870, 60) is HIGH


def test_saw_teeth_do_not_make_it_flap() -> None:
    meter = Meter()
    meter.hold(970, 5)

    levels = {meter.read(970 if second % 8 < 4 else 500) for second in range(200)}

    assert levels == {CRITICAL}


def test_machine_that_stands_still_for_want_of_memory_is_critical() -> None:
    meter = Meter(OF_MACHINE)

    assert meter.hold(900, 3, stalled_share=0.4) is CRITICAL
    assert Meter(OF_MACHINE).hold(900, 3, stalled_share=0.15) is HIGH


def test_stall_says_nothing_of_a_machine_with_memory_left() -> None:
    """Somebody thrashes at a limit of its own then."""
    assert Meter(OF_MACHINE).hold(300, 60, stalled_share=0.9) is CALM


def test_pace_is_measured_over_the_last_readings_only() -> None:
    meter = Meter()
    for used in range(0, 860, 20):
        meter.read(used)

    meter.hold(860, PACE_READINGS)

    assert left_s(meter.state.readings) == float("inf")


@pytest.mark.parametrize(
    ("used", "text"),
    [
        ((900, 900), "900MiB of 1000MiB (90%) of memory used"),
        ((880, 900), "900MiB of 1000MiB (90%) of memory used, all of it in 5s at this pace"),
    ],
)
def test_reason_says_what_is_used_and_where_that_leads(used: tuple[int, ...], text: str) -> None:
    meter = Meter()
    for one in used:
        meter.read(one)

    assert reason_of(meter.state.readings) == text


def test_reason_says_that_nothing_goes_on() -> None:
    meter = Meter(OF_MACHINE)
    meter.read(960, stalled_share=0.35)

    assert reason_of(meter.state.readings).endswith("nothing went on for 35% of the time")


def test_clock_that_stands_still_is_no_pace() -> None:
    reading = MemoryReading(at=NOW, used_bytes=900 * MIB, limit_bytes=LIMIT)

    assert left_s((reading, reading)) == float("inf")
