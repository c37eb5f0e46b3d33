"""Real processes that leaked until the kernel refused were predicted in time, and not while they were well."""

import pytest
from tests.support.leaks import LEAKS, SCALE, Leak, predictions_of

CALM_S = 110 * SCALE
"""So long they did not leak; see `bench/record_leaks.py`."""


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.resource)
def test_recorded_leak_is_predicted_in_time(leak: Leak) -> None:
    found = predictions_of(leak)

    assert found, "it was not predicted"
    assert found[0] >= 120
    assert found[-1] <= 30
    assert found[0] < leak.end_s - CALM_S
