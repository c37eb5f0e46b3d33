"""The daemon looks ahead: it hears checks, measures, journals predictions, and keeps scores."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    FaultOpened,
    Payload,
    PlanFinished,
    PredictionEnded,
    PredictionMade,
    ProcessExited,
    SwitchSet,
    announce,
)
from resile.core.metrics import Registry
from resile.core.vocabulary import (
    CheckState,
    EndKind,
    FaultKind,
    Part,
    PredictionOutcome,
    Priority,
    Resource,
)
from resile.daemon.foresight import SYSTEM, Foresight, ForesightMeasures, ForesightPlan
from resile.daemon.foresight.foresight import CRASHES_FOR_S
from resile.errors import JournalError
from resile.health import CheckKind, CheckResult, CheckSpec, ProcessSample
from resile.health.model import Validity
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal
from resile.web.models import HealthScore, Prediction

RSS_MAX = 1_000_000
CHECKS = (
    CheckSpec(
        id="a.live", kind=CheckKind.PROCESS, service="a", options={"rss_max_bytes": float(RSS_MAX)}
    ),
    CheckSpec(id="a.ready", kind=CheckKind.HTTP, service="a"),
)


class Watched:
    """What foresight sees, on a clock that stands still."""

    def __init__(self, tmp_path: Path, **plan: Any) -> None:
        self.clock = FakeClock()
        spec = system(service("a"), checks="a.live a.ready")
        self.shell = Shell(spec, has_checks=False, now=self.clock.now()).begin()
        self.shell.run(1)
        self.shell.see("a.live", CheckState.UP)
        self.shell.see("a.ready", CheckState.UP)
        self.shell.run(1)
        self.rss_bytes = 0
        self.seen: dict[str, CheckResult] = {}
        self.rows: list[Mapping[str, Any]] = []
        self.told: list[Payload] = []
        self.plan = ForesightPlan(checks=CHECKS, state=tmp_path, **plan)
        self.foresight = self.brain()

    def brain(self) -> Foresight:
        return Foresight(
            self.plan,
            world=self.shell.world,
            book=self.shell.book,
            tell=self._tell,
            sources=self,
            clock=self.clock,
        )

    def _tell(self, *payloads: Payload) -> None:
        self.told += payloads

    def samples(self) -> Mapping[str, ProcessSample]:
        return {
            "a": ProcessSample(
                pid=os.getpid(),
                state="S",
                cpu_s=0.0,
                cpu_share=0.0,
                rss_bytes=self.rss_bytes,
                threads_count=1,
                fds_count=5,
            )
        }

    def results(self) -> Mapping[str, CheckResult]:
        return self.seen

    def guards(self) -> Sequence[Mapping[str, Any]]:
        return []

    def secrets(self) -> Sequence[Mapping[str, Any]]:
        return self.rows

    def leak(self, begin: float, end: float, count: int) -> None:
        """Let memory rise from one share of its limit to another, and look each time."""
        for number in range(count):
            self.rss_bytes = int(RSS_MAX * (begin + (end - begin) * number / count))
            self.foresight.look()
            self.clock.advance(5.0)

    def said(self, check: str = "a.ready", **facts: Any) -> None:
        values = {"state": CheckState.UP, "reason": "", "latency_s": 0.01, **facts}
        self.seen[check] = CheckResult(check=check, at=self.clock.now(), **values)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_leak_is_predicted_journalled_and_shown(watched: Watched) -> None:
    watched.leak(0.3, 0.95, 250)

    (made,) = watched.told
    assert isinstance(made, PredictionMade)
    assert (made.target, made.detail, made.predictor) == ("service/a", "rss_max", "trend")
    (shown,) = watched.foresight.predictions()
    Prediction.model_validate(shown)
    assert shown["resource"] == "memory"
    health = watched.foresight.health("service/a")
    assert health is not None
    HealthScore.model_validate(health)
    assert health["score"] < 90
    assert {one["what"] for one in health["deductions"]} == {"prediction", "saturation"}
    assert watched.foresight.health("service/b") is None


def test_nothing_is_predicted_while_prediction_is_switched_off(watched: Watched) -> None:
    off = SwitchSet(
        part=Part.PREDICTION, is_on=False, until=watched.clock.now() + timedelta(days=9)
    )
    watched.shell.tell(off)

    watched.leak(0.3, 0.95, 250)

    assert watched.told == []
    assert list(watched.foresight.predictions()) == []
    assert watched.foresight.health("service/a") is not None


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (EndKind.OOM, PredictionOutcome.CAME_TRUE),
        (EndKind.EXIT, PredictionOutcome.CAME_TRUE),
        (EndKind.STOPPED, PredictionOutcome.AVERTED),
    ],
)
def test_end_of_the_process_ends_its_predictions(
    watched: Watched, end: EndKind, outcome: PredictionOutcome
) -> None:
    watched.leak(0.3, 0.95, 250)

    watched.foresight.apply(ProcessExited(service="a", generation=1, pid=1, end=end))

    *_, ended = watched.told
    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is outcome
    assert watched.foresight.predictions() == []


def test_plan_that_helped_averts_the_predictions_of_its_target(watched: Watched) -> None:
    watched.leak(0.3, 0.95, 250)
    helped = PlanFinished(plan_id="p", fault_id="f", target="service/a", is_effective=True)

    watched.foresight.apply(helped)

    *_, ended = watched.told
    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.AVERTED


def test_next_brain_goes_on_with_what_is_open(watched: Watched) -> None:
    watched.leak(0.3, 0.95, 250)
    journal = MemoryJournal()
    journal.append(*(announce(p, at=watched.clock.now(), actor="brain") for p in watched.told))
    watched.told.clear()
    watched.foresight = watched.brain()

    watched.foresight.read(journal)
    assert [one["target"] for one in watched.foresight.predictions()] == ["service/a"]
    watched.leak(1.0, 1.0, 1)

    (ended,) = watched.told
    assert isinstance(ended, PredictionEnded)
    assert ended.outcome is PredictionOutcome.CAME_TRUE


def test_journal_that_cannot_be_read_stops_nobody(watched: Watched) -> None:
    class Broken(MemoryJournal):
        def read(self, *_: Any) -> Any:
            raise JournalError("broken")

    watched.foresight.read(Broken())

    assert watched.foresight.predictions() == []


def test_certificate_and_secret_that_end_soon_are_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path, secret_lifetimes_s={"tls": 86_400.0})
    now = watched.clock.now()
    watched.said(certificate=Validity(since=now, until=now + timedelta(minutes=1)))
    watched.clock.advance(55)
    made_at = watched.clock.now() - timedelta(hours=23)
    watched.rows = [{"name": "tls", "created_at": made_at.isoformat()}]

    watched.foresight.look()

    made = [one for one in watched.told if isinstance(one, PredictionMade)]
    assert {one.resource for one in made} == {Resource.CERTIFICATE, Resource.SECRET}


def test_what_checks_say_is_heard_once_and_of_what_runs(watched: Watched) -> None:
    for number in range(300):
        watched.said(latency_s=0.01 if number < 250 else 0.5)
        watched.foresight.hear()
        watched.foresight.hear()
        watched.clock.advance(5.0)
    watched.foresight.look()

    health = watched.foresight.health("service/a")
    assert health is not None
    assert "usually 10ms" in health["deductions"][0]["why"]
    assert health["dimensions"]["latency"] == 50


def test_what_is_said_while_a_service_starts_is_not_heard(watched: Watched) -> None:
    watched.shell.programs["a"].start_error = "no such file"
    watched.shell.crash("a")
    for _ in range(50):
        watched.said(state=CheckState.DOWN)
        watched.foresight.hear()
        watched.clock.advance(5.0)
    watched.foresight.look()

    health = watched.foresight.health("service/a")
    assert health is not None
    assert health["grade"] == "CRITICAL"
    assert "looks were bad" not in str(health["deductions"])


def test_crashes_are_remembered_for_a_while(watched: Watched) -> None:
    crash = FaultOpened(
        fault_id="f",
        fault=FaultKind.CRASH,
        target="service/a",
        priority=Priority.P1,
        began_at=watched.clock.now(),
        reason="killed",
    )
    watched.foresight.apply(crash)
    watched.foresight.look()
    health = watched.foresight.health("service/a")
    assert health is not None
    assert "failed once lately" in health["deductions"][0]["why"]

    watched.clock.advance(CRASHES_FOR_S + 1)
    watched.foresight.look()

    health = watched.foresight.health("service/a")
    assert health is not None
    assert health["score"] == 100


def test_change_is_told_once_two_hours_are_known(watched: Watched) -> None:
    for _ in range(130):
        watched.foresight.look()
        watched.clock.advance(60.0)

    health = watched.foresight.health(SYSTEM)

    assert health is not None
    assert health["change"] == 0.0


def test_predictor_that_is_not_to_be_had_is_replaced_by_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(tmp_path, predictor="crystal-ball")

    watched.leak(0.3, 0.95, 250)

    assert "crystal-ball" in caplog.text
    (made,) = watched.told
    assert isinstance(made, PredictionMade)
    assert made.predictor == "trend"


def test_predictor_whose_extra_is_missing_is_replaced_by_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "river.time_series", None)
    watched = Watched(tmp_path, predictor="river")

    watched.leak(0.3, 0.95, 250)

    assert "pip install 'resile[ml]'" in caplog.text
    (made,) = watched.told
    assert isinstance(made, PredictionMade)
    assert made.predictor == "trend"


def test_metrics_tell_scores_and_predictions_and_forget_what_is_over(watched: Watched) -> None:
    registry = Registry()
    measures = ForesightMeasures(registry)
    watched.leak(0.3, 0.95, 250)
    measures.apply(watched.told[0])
    measures.take(watched.foresight)
    text = registry.text()

    assert 'resile_health_score{target="service/a"}' in text
    assert 'resile_health_score{target="system"}' in text
    assert 'resile_prediction_left_seconds{resource="memory",target="service/a"}' in text
    assert 'resile_prediction_confidence_ratio{resource="memory",target="service/a"} 0.7' in text
    assert 'resile_prediction_made_total{resource="memory"} 1' in text

    watched.leak(1.0, 1.0, 1)
    measures.apply(watched.told[1])
    measures.take(watched.foresight)
    text = registry.text()

    assert "resile_prediction_left_seconds{" not in text
    ended = 'resile_prediction_ended_total{resource="memory",outcome="came_true"} 1'
    assert ended in text
    assert 'resile_prediction_precision_ratio{resource="memory",target="service/a"} 1' in text


def test_fields_of_time_are_aware(watched: Watched) -> None:
    watched.leak(0.3, 0.95, 250)

    (shown,) = watched.foresight.predictions()

    assert datetime.fromisoformat(shown["made_at"]).tzinfo is not None
