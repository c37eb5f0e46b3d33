import pytest

from resile.core.vocabulary import Priority


@pytest.mark.parametrize(
    ("priority", "rto_s"),
    [(Priority.P0, 30), (Priority.P1, 120), (Priority.P2, 300), (Priority.P3, 3600)],
)
def test_a_priority_has_its_recovery_time_objective(priority: Priority, rto_s: float) -> None:
    assert priority.rto_s == rto_s


def test_a_raised_priority_is_the_next_more_urgent_and_p0_stays() -> None:
    assert [priority.raised for priority in Priority] == [
        Priority.P0,
        Priority.P0,
        Priority.P1,
        Priority.P2,
    ]
