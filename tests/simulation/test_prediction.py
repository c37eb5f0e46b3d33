"""Made series of resources in use, on fresh seeds: most that run out are told before, few others are."""

import random

from tests.support.exhaustion import RISING, STAYING, trace
from tests.support.foretelling import Tally, expected_by, judge

from resile.health.prediction import TrendGuard

SERIES_PER_KIND = 8


def test_most_that_runs_out_is_told_before_and_little_else() -> None:
    """The bars stand in `bench/bench_prediction.py`; with so few series chance has its say."""
    seed = random.SystemRandom().randrange(2**32)
    tally = Tally()

    for kind in (*RISING, *STAYING):
        for number in range(SERIES_PER_KIND):
            made = trace(kind, seed + number)
            judge(made, expected_by(TrendGuard(), made), tally)

    assert tally.precision >= 0.6, (seed, tally)
    assert tally.recall >= 0.75, (seed, tally)
    assert tally.lead_s >= 120.0, (seed, tally)
