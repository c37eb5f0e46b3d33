"""What people read of drills in the journal."""

from datetime import UTC, datetime

import pytest

from resile.core import events
from resile.core.sentences import sentence
from resile.core.vocabulary import DrillVerdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            events.DrillBegun(drill_id="d", who="ann", cells=("crash:service/api",)),
            "ann begins a drill of 1 scenarios",
        ),
        (
            events.DrillProved(
                drill_id="d",
                cell="crash:service/api",
                scenario="crash",
                fault="process.kill",
                target="service/api",
                verdict=DrillVerdict.PASSED,
                detected_s=0.25,
                recovered_s=1.5,
                acked=40,
                lost=0,
            ),
            "drill crash:service/api: passed (seen after 250ms, well after 1.5s)",
        ),
        (
            events.DrillProved(
                drill_id="d",
                cell="crash:service/api",
                scenario="crash",
                fault="process.kill",
                target="service/api",
                verdict=DrillVerdict.LOST,
                acked=40,
                lost=2,
            ),
            "drill crash:service/api: lost (2 of 40 writes lost)",
        ),
        (
            events.DrillProved(
                drill_id="d",
                cell="disk-full:data",
                scenario="disk-full",
                fault="disk.full",
                target="data",
                verdict=DrillVerdict.SKIPPED,
                why="the disk is too large",
            ),
            "drill disk-full:data: skipped (the disk is too large)",
        ),
        (
            events.DrillEnded(drill_id="d", score=90, passed=9, failed=1, skipped=0),
            "the drill is over with a score of 90: 9 passed, 1 failed, 0 skipped",
        ),
        (
            events.DrillEnded(
                drill_id="d", score=0, passed=0, failed=0, skipped=2, why="SIGINT came"
            ),
            "the drill is over with a score of 0: 0 passed, 0 failed, 2 skipped: SIGINT came",
        ),
    ],
)
def test_event_of_a_drill_is_told_in_one_line(payload: events.Payload, text: str) -> None:
    assert sentence(events.announce(payload, at=NOW, actor="cli")) == text


def test_all_of_a_drill_is_one_story() -> None:
    payload = events.DrillBegun(drill_id="d", who="ann", cells=())

    assert (payload.subject, payload.correlation_id) == ("drill/d", "d")
