import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_duration_range,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("10s", 10),
        ("1m30s", 90),
        ("1m 30s", 90),
        ("5min", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5s", 1.5),
        (3, 3),
        (0.5, 0.5),
        (0, 0),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10 parsecs", "-1s", "1s!", -1, float("inf")])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_nan_is_no_duration() -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(float("nan"))


@pytest.mark.parametrize(
    ("text", "pair"), [("200ms..10s", (0.2, 10)), ("5s", (5, 5)), (2.0, (2, 2))]
)
def test_a_range_of_durations_is_read(text: str | float, pair: tuple[float, float]) -> None:
    assert parse_duration_range(text) == pytest.approx(pair)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter duration first"):
        parse_duration_range("10s..1s")


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 << 20), ("1 GB", 10**9), ("1.5kB", 1500), ("7B", 7), (0, 0), (42, 42)],
)
def test_a_size_is_read(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "12", "MiB", "-1B", -1, True, "1 PiB", "9" * 400 + "B"])
def test_what_is_no_size_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), ("150 %", 1.5), (0.25, 0.25), (2, 2)])
def test_a_share_is_read(text: str | float, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["half", "-1%", -0.1, True, "", math.inf, "9" * 400 + "%"])
def test_what_is_no_share_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (5, "5s"),
        (12.4, "12s"),
        (90, "1m30s"),
        (7200, "2h"),
        (90061, "1d1h"),
    ],
)
def test_a_duration_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (2 << 30, "2GiB")]
)
def test_a_size_is_written(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.floats(0, 10**7))
def test_a_written_duration_is_read_back_within_its_rounding(seconds: float) -> None:
    back_s = parse_duration(format_duration(seconds))

    assert back_s == pytest.approx(seconds, rel=0.05, abs=0.0006)


@given(st.integers(0, 2**50))
def test_a_written_size_is_read_back_within_its_rounding(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06)


@pytest.mark.parametrize("parse", [parse_duration, parse_duration_range, parse_size, parse_share])
@given(text=st.text())
def test_any_text_is_read_or_refused_with_a_value_error(
    parse: Callable[[str], object], text: str
) -> None:
    with suppress(ValueError):
        assert parse(text) is not None
