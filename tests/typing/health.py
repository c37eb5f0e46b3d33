"""Health endpoints as a user's code sees them; mypy --strict reads this, nothing runs it."""

import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, assert_type
from wsgiref.types import WSGIApplication

from fastapi import FastAPI
from starlette.applications import Starlette

import resile
from resile.core.metrics import Counter, Gauge

health = resile.Health(prefix="shop")


@health.check("queue", timeout="500ms", failure_status="degraded")
def queue() -> dict[str, int]:
    return {"jobs": 7}


@health.check("orders", critical=True)
async def orders() -> resile.HealthResult:
    return resile.HealthResult(resile.HealthStatus.DEGRADED, "slow", {"jobs": 7})


assert_type(queue, Callable[[], dict[str, int]])
assert_type(orders, Callable[[], Coroutine[Any, Any, resile.HealthResult]])
health.add_database(lambda: sqlite3.connect("policy.db"))
assert_type(health.add_gauge("queue_jobs", "Jobs.", labels=("queue",)), Gauge)
assert_type(health.add_counter("orders_total", "Orders."), Counter)

fastapi, starlette = FastAPI(), Starlette()
fastapi.add_middleware(health.asgi)
fastapi.mount("/internal", health.asgi())
starlette.mount("/internal", health.asgi(fastapi))


def flask(app: WSGIApplication) -> WSGIApplication:
    return health.wsgi(app)
