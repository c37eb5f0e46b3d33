"""A percentile over a bounded number of latencies."""

import random

from resile.policies.percentile import LatencyPercentile


def test_nothing_is_said_of_too_few() -> None:
    known = LatencyPercentile(0.95, count_min=3)
    known.add(1.0)
    known.add(2.0)

    assert known.value_s() is None


def test_it_is_the_value_that_the_share_lies_below() -> None:
    known = LatencyPercentile(0.95, count_min=1)
    values = [float(n) for n in range(100)]
    random.Random(1).shuffle(values)
    for value in values:
        known.add(value)

    assert known.value_s() == 95.0


def test_old_latencies_are_forgotten_and_the_value_is_at_most_fifteen_old() -> None:
    known = LatencyPercentile(0.5, count_min=1)
    for _ in range(1000):
        known.add(1.0)
    assert known.value_s() == 1.0

    for _ in range(15):
        known.add(9.0)
    assert known.value_s() == 1.0

    for _ in range(300):
        known.add(9.0)
    assert known.value_s() == 9.0
