"""What is remembered of requests, and what that tells."""

import pytest

from resile.drill.ledger import Ledger, Sample, tally_of


def sample(began_s, ended_s, is_ok):
    return Sample(began_s=began_s, ended_s=ended_s, is_ok=is_ok)


def test_an_acknowledged_write_that_is_not_found_is_lost():
    ledger = Ledger()
    for name in ("a", "b", "c"):
        ledger.note(sample(0, 1, True), acked=name)
    ledger.note(sample(0, 1, False))

    assert ledger.waiting() == {"a", "b", "c"}
    assert ledger.settle(["a", "c", "x"]) == ("b",)
    assert ledger.settle([]) == ()


@pytest.mark.parametrize(
    ("samples", "failed", "well_s", "outage_s"),
    [
        ([], 0, 10, 0.0),
        ([(10, 11, True)], 0, 10, 0.0),
        ([(10, 11, False)], 1, None, None),
        ([(10, 11, False), (12, 13, True)], 1, 13, 3),
        # An answer to a request from before the last bad one proves nothing.
        ([(11, 14, False), (10.5, 15, True)], 1, None, None),
        # One that is given up late was sent before the good one.
        ([(11, 16, False), (12, 13, True)], 1, 13, 2),
        ([(9, 10.5, False), (12, 13, True)], 1, 13, 3),
    ],
)
def test_it_works_again_with_the_first_answer_to_what_was_sent_after_the_last_failure(
    samples, failed, well_s, outage_s
):
    tally = tally_of([sample(*one) for one in samples], 10)

    assert (tally.failed, tally.well_s, tally.outage_s) == (failed, well_s, outage_s)


def test_what_ended_before_the_moment_does_not_count():
    ledger = Ledger()
    ledger.note(sample(1, 2, False))
    ledger.note(sample(3, 4, True))

    assert ledger.tally(3).failed == 0
    assert ledger.tally(3).sent == 1
