"""A brain scores what it watches, and goes on with what an earlier one predicted."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.braining import living, wait_until

from resile.core.events import PredictionMade, announce
from resile.core.journal import open_journal
from resile.core.vocabulary import Resource
from resile.web.models import Status


def test_status_and_metrics_tell_a_score(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with living(tmp_path) as life:
            view = life.brain._view
            await wait_until("a score", lambda: view.status()["health"])

            status = Status.model_validate(view.status())
            assert status.health is not None
            assert status.predictions == []
            assert 'resile_health_score{target="system"}' in view.metrics()

    asyncio.run(scenario())


def foretold(folder: Path) -> None:
    """Write the prediction of an earlier brain: a service's memory runs out in four minutes."""
    now = datetime.now(UTC)
    made = PredictionMade(
        prediction_id="prd_1",
        resource=Resource.MEMORY,
        target="service/a",
        predictor="trend",
        left_s=250.0,
        expected_at=now + timedelta(seconds=250),
        confidence=0.8,
        used=300.0,
        limit=400.0,
    )
    with contextlib.closing(open_journal(folder / ".resile" / "journal")) as journal:
        journal.append(announce(made, at=now, actor="brain"))


def test_prediction_of_an_earlier_brain_is_shown_and_is_a_p3_incident(tmp_path: Path) -> None:
    foretold(tmp_path)

    async def scenario() -> None:
        async with living(tmp_path, '[service.a]\ncommand = ["true"]\n') as life:
            (shown,) = life.brain._view.status()["predictions"]
            assert 200 < shown["left_s"] <= 250

            await wait_until("an incident", lambda: life.recorded("incident.opened"))
            (opened,) = life.recorded("incident.opened")
            assert opened.body["severity"] == "P3"
            assert opened.body["title"] == "a is expected to run out: memory, in about 4m10s"

    asyncio.run(scenario())


def test_service_that_asks_for_it_is_restarted_before_its_memory_runs_out(tmp_path: Path) -> None:
    foretold(tmp_path)
    service = '[service.a]\ncommand = ["true"]\nlimits = { memory = "512MiB" }\noom = "restart"\n'

    async def scenario() -> None:
        async with living(tmp_path, service) as life:
            await wait_until("the end", lambda: life.recorded("fault.closed"))

            (plan,) = life.recorded("plan.decided")
            assert plan.body["playbook"] == "restart_before_exhaustion"
            (finished,) = life.recorded("plan.finished")
            assert finished.body["is_effective"]
            assert len(life.recorded("process.started")) == 2
            assert life.recorded("fault.opened") == life.recorded("fault.escalated") == []
            await wait_until("its end for people", lambda: life.recorded("trouble.ended"))
            (incident,) = life.recorded("incident.opened")
            assert incident.body["fault_id"] == plan.body["fault_id"]

    asyncio.run(scenario())
