from datetime import UTC

import pytest

from resile.core.clock import SystemClock
from resile.testing import FakeClock


def test_system_time_is_aware_and_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_system_sleep_takes_at_least_its_time() -> None:
    clock = SystemClock()
    before_s = clock.monotonic()

    clock.sleep(0.001)

    assert clock.monotonic() - before_s >= 0.001


def test_fake_sleep_moves_both_clocks_at_once() -> None:
    clock = FakeClock()
    before = clock.now()

    clock.sleep(90)

    assert (clock.now() - before).total_seconds() == 90
    assert clock.monotonic() == 90


def test_fake_jump_moves_the_wall_clock_only() -> None:
    clock = FakeClock()
    before = clock.now()

    clock.jump(-3600)

    assert (clock.now() - before).total_seconds() == -3600
    assert clock.monotonic() == 0


def test_fake_time_does_not_go_back() -> None:
    with pytest.raises(AssertionError, match="does not go back"):
        FakeClock().advance(-1)
