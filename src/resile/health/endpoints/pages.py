"""What the four paths answer, whatever carries the answer: status, type and body."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from resile.health.endpoints.decide import overall
from resile.health.endpoints.model import Component, HealthStatus

JSON_TYPE = "application/json"
METHODS = ("GET", "HEAD")
"""What every page takes."""


class Page(Enum):
    """A path that is answered."""

    HEALTH = "/health"
    LIVE = "/health/live"
    READY = "/health/ready"
    METRICS = "/metrics"


class Answer(NamedTuple):
    """An answer without its carrier.

    Args:
        status: Of HTTP.
        content_type: Of the body.
        body: All of it.
        allow: The methods that the path takes, if another one was asked for.
    """

    status: int
    content_type: str
    body: bytes
    allow: str = ""

    def headers(self) -> list[tuple[str, str]]:
        """Give the headers. Nothing between prober and service may keep an answer."""
        allow = [("Allow", self.allow)] if self.allow else []
        return [
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *allow,
        ]


_BY_PATH = {page.value: page for page in Page}


def find_page(path: str, root: str = "") -> Page | None:
    """Find the page of a path; None if there is none.

    Args:
        path: As it was asked for, decoded, without a query.
        root: Where the application is mounted. `path` may begin with it or not, as servers differ,
            and it may be `/health` itself.
    """
    for candidate in (path.removeprefix(root), path, root + path):
        page = _BY_PATH.get(candidate.rstrip("/"))
        if page is not None:
            return page
    return None


def refusal(page: Page | None) -> Answer:
    """Refuse a path that there is not, or a method that its page does not take."""
    if page is None:
        hint = f"there are {', '.join(_BY_PATH)}"
        return json_answer(404, {"error": "there is nothing at this path", "hint": hint})
    hint = f"ask with {' or '.join(METHODS)}"
    answer = json_answer(405, {"error": "this method is not for this path", "hint": hint})
    return answer._replace(allow=", ".join(METHODS))


def live_answer() -> Answer:
    """Say that the process works: it has answered."""
    return json_answer(200, {"alive": True})


def ready_answer(reason: str) -> Answer:
    """Say whether requests can be served; `reason` is empty if they can."""
    return json_answer(503 if reason else 200, {"ready": not reason, "reason": reason or None})


def health_answer(components: tuple[Component, ...], *, now: datetime, uptime_s: float) -> Answer:
    """Tell how the service and each component is; 503 if the service is unhealthy."""
    status = overall(components)
    return json_answer(
        503 if status is HealthStatus.UNHEALTHY else 200,
        {
            "status": status,
            "timestamp": _stamp(now),
            "uptime_seconds": int(uptime_s),
            "components": {one.check.name: _shown(one) for one in components},
        },
    )


def json_answer(status: int, content: Mapping[str, object]) -> Answer:
    """Write an object as JSON, on one line."""
    return Answer(status, JSON_TYPE, json.dumps(content, allow_nan=False).encode() + b"\n")


def _shown(component: Component) -> Mapping[str, object]:
    result = component.result
    shown = {
        "status": result.status,
        "response_ms": round(component.response_s * 1000, 3),
        "last_check": _stamp(component.checked_at),
        **({"message": result.message} if result.message else {}),
    }
    return {**shown, **{k: v for k, v in result.details.items() if k not in shown}}


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
