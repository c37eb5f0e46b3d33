"""What ways of looking share."""

import pytest

from resile.health.checks.port import REASON_LENGTH_MAX, Deadline, one_line
from resile.testing import FakeClock


def test_deadline_counts_over_all_steps() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 1.0)

    clock.advance(0.75)

    assert deadline.left_s() == 0.25
    clock.advance(0.25)
    with pytest.raises(TimeoutError):
        deadline.left_s()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \n\t\n  why \nmore", "why"),
        ("a\x1b[31mb", "a?[31mb"),
        ("x" * REASON_LENGTH_MAX, "x" * REASON_LENGTH_MAX),
        ("x" * (REASON_LENGTH_MAX + 1), "x" * (REASON_LENGTH_MAX - 1) + "…"),
    ],
)
def test_reason_is_one_short_printable_line(text: str, line: str) -> None:
    assert one_line(text) == line
