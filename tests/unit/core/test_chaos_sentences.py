"""What people read of faults on purpose in the journal."""

from datetime import UTC, datetime

import pytest

from resile.core import events
from resile.core.sentences import sentence
from resile.core.verdicts import ExperimentVerdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            events.FaultInjected(
                fault_id="f", fault="process.kill", target="service/api", ttl_s=30, who="ann"
            ),
            "ann injects process.kill into service/api on purpose, for 30s at most",
        ),
        (
            events.FaultInjected(fault_id="f", fault="cpu.burn", target="", ttl_s=5, who="ann"),
            "ann injects cpu.burn on purpose, for 5s at most",
        ),
        (
            events.FaultUndone(
                fault_id="f",
                fault="process.hang",
                target="service/api",
                by="watchdog",
                why="its engine ended",
                is_gone=True,
                detail="nothing is stopped",
            ),
            "process.hang of service/api is undone by the watchdog: its engine ended",
        ),
        (
            events.FaultUndone(
                fault_id="f",
                fault="cpu.burn",
                target="",
                by="engine",
                why="its time is over",
                is_gone=False,
                detail="process 7 lives",
            ),
            "cpu.burn is NOT proven to be gone by the engine: its time is over (process 7 lives)",
        ),
        (
            events.ExperimentBegun(experiment_id="e", title="a hang", faults=(), who="ann"),
            "ann begins the experiment 'a hang'",
        ),
        (
            events.ExperimentEnded(
                experiment_id="e",
                title="a hang",
                verdict=ExperimentVerdict.DEVIATED,
                reason="ready: HTTP 503",
                duration_s=12,
            ),
            "experiment 'a hang' deviated after 12s: ready: HTTP 503",
        ),
    ],
)
def test_event_about_chaos_is_told_in_one_line(payload: events.Payload, text: str) -> None:
    assert sentence(events.announce(payload, at=NOW, actor="cli")) == text


def test_faults_belong_to_their_experiment_or_to_themselves() -> None:
    alone = events.FaultInjected(fault_id="f", fault="cpu.burn", target="", ttl_s=5, who="ann")
    within = events.FaultInjected(
        fault_id="f", fault="cpu.burn", target="", ttl_s=5, who="ann", experiment_id="e"
    )

    assert (alone.subject, alone.correlation_id) == ("machine", "f")
    assert within.correlation_id == "e"
