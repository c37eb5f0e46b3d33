"""Health for load balancers and orchestrators, from what is known; no check runs in a request.

`/livez` is answered by `middleware.LivenessProbe`, before any routing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from resile.core.clock import Clock
from resile.core.vocabulary import CheckGroup, CheckState
from resile.web import models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedClock, AskedView
from resile.web.verdict import verdict

router = APIRouter(tags=["health"])

_ABLE = {CheckState.UP, CheckState.DEGRADED, CheckState.MAINTENANCE}
"""The states in which work may be sent. UNKNOWN is never taken for good."""

Facts = Mapping[str, Any]


@router.get("/readyz", response_class=PlainTextResponse)
async def probe_readiness(view: AskedView) -> Response:
    """Tell whether work may be sent: 200 or 503, and no detail."""
    is_ready = view.status()["state"] in _ABLE
    return PlainTextResponse("ok\n" if is_ready else "not ready\n", 200 if is_ready else 503)


@router.get("/health", response_model=models.Health)
async def read_health(view: AskedView, clock: AskedClock) -> Response:
    """Give the overall health: 503 if it is DOWN, else 200."""
    status = view.status()
    components = [*_services(status), *_checks(status, CheckGroup.SYSTEM)]
    answer = _health(status, components, clock)
    return json_answer(answer, status=503 if answer["status"] == CheckState.DOWN else 200)


@router.get("/health/live", response_model=models.Liveness)
async def read_liveness(view: AskedView, clock: AskedClock) -> Response:
    """Tell that resile works (always 200), and what the liveness checks said."""
    status = view.status()
    answer = _health(status, _checks(status, CheckGroup.LIVE), clock)
    return json_answer({"alive": True, **answer})


@router.get("/health/ready", response_model=models.Readiness)
async def read_readiness(view: AskedView, clock: AskedClock) -> Response:
    """Tell whether work may be sent: 200 or 503, with the reason."""
    status = view.status()
    is_ready = status["state"] in _ABLE
    answer = _health(status, _checks(status, CheckGroup.READY), clock)
    reason = None if is_ready else verdict(status)["text"]
    return json_answer(
        {"ready": is_ready, "reason": reason, **answer}, status=200 if is_ready else 503
    )


@router.get("/metrics", response_class=PlainTextResponse)
async def read_metrics(view: AskedView) -> Response:
    """Give the metrics in Prometheus text format."""
    return Response(view.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _health(status: Facts, components: Iterable[Facts], clock: Clock) -> dict[str, Any]:
    now = clock.now()
    started_at = status["brain"].get("started_at")
    uptime_s = (now - datetime.fromisoformat(started_at)).total_seconds() if started_at else None
    return {
        "status": status["state"],
        "timestamp": now.isoformat(),
        "uptime_seconds": uptime_s,
        "components": {item["name"]: item for item in components},
    }


def _services(status: Facts) -> Iterable[Facts]:
    for service in status.get("services", ()):
        looks = [c for c in status.get("checks", ()) if c.get("service") == service["name"]]
        times = [str(look["checked_at"]) for look in looks if look.get("checked_at")]
        delays = [look["latency_s"] for look in looks if look.get("latency_s") is not None]
        yield _component(
            service["name"], service, max(times, default=None), max(delays, default=None)
        )


def _checks(status: Facts, group: CheckGroup) -> Iterable[Facts]:
    for check in status.get("checks", ()):
        if check.get("group") == group:
            yield _component(check["id"], check, check.get("checked_at"), check.get("latency_s"))


def _component(name: str, facts: Facts, seen_at: str | None, delay_s: float | None) -> Facts:
    return {
        "name": name,
        "status": facts["state"],
        "message": facts.get("reason", ""),
        "last_check": seen_at,
        "response_ms": None if delay_s is None else round(delay_s * 1000, 3),
    }
