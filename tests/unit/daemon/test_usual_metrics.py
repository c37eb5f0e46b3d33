"""Whoever knows a metric of recovery by its usual name finds it here, and it is one that is told."""

import re
from pathlib import Path

from tests.support.shell import EPOCH
from tests.support.systems import service, system

from resile.daemon.measures import Measures
from resile.incidents import IncidentBook
from resile.recover import World

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
USUAL_METRICS = (
    "recovery_count_total",
    "recovery_duration_seconds",
    "recovery_success_rate",
    "rto_compliance_rate",
    "health_score",
    "predictive_failure_probability",
    "corruption_detected_total",
    "corruption_repaired_total",
    "checkpoint_duration_seconds",
    "checkpoint_size_bytes",
    "rollback_count_total",
    "failover_count_total",
)
"""Source: REQUIREMENTS F9."""


def test_every_usual_metric_of_recovery_leads_to_one_of_ours() -> None:
    rows = dict(
        re.findall(
            r"^\| ([a-z_]+) \| `(resile_\w+)`",
            PAGE.read_text().partition("## Under other names")[2],
            re.MULTILINE,
        )
    )
    spec = system(service("a"))
    text = Measures().text(World(spec), IncidentBook(spec), {}, dropped_count=0, now=EPOCH)
    told = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))

    assert tuple(rows) == USUAL_METRICS
    assert [name for name in rows.values() if name not in told] == []
    for usual, ours in rows.items():
        assert usual.endswith("_total") is ours.endswith("_total"), usual
