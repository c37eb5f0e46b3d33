"""A median of slopes follows a line through noise and wild samples."""

from hypothesis import given
from hypothesis import strategies as st

from resile.health.prediction.trend import level_and_spread, median, pair_slopes, rising_share

TIMES = [5.0 * number for number in range(60)]
finite = st.floats(-1e3, 1e3)


@given(st.floats(-1, 1), finite)
def test_line_without_noise_is_found(slope: float, start: float) -> None:
    values = [start + slope * at_s for at_s in TIMES]

    found = median(pair_slopes(TIMES, values))
    level, spread = level_and_spread(TIMES, values, found)

    assert abs(found - slope) < 1e-9
    assert abs(level - values[-1]) < 1e-6
    assert spread < 1e-6


@given(
    st.dictionaries(st.integers(0, 59), st.floats(-1e6, 1e6), max_size=14),
)
def test_some_wild_samples_do_not_turn_the_line(wild: dict[int, float]) -> None:
    """Each spoils one pair of thirty; the median of the rest lies among them while most are good."""
    values = [wild.get(number, 0.01 * at_s) for number, at_s in enumerate(TIMES)]

    assert abs(median(pair_slopes(TIMES, values)) - 0.01) < 1e-9


def test_rising_share_counts_what_is_above_nothing() -> None:
    assert rising_share([-1.0, 0.0, 1.0, 2.0]) == 0.5
    assert rising_share([1.0]) == 1.0
    assert rising_share([0.0]) == 0.0
