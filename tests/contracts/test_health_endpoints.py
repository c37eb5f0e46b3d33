"""What health endpoints answer, the same over each carrier: ASGI, WSGI, and a thread's socket."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from tests.support.probing import CARRIERS, PATIENCE_S, Got, failing, hanging, service

import resile
from resile import HealthResult, HealthStatus

LIVE = {"alive": True}
READY = {"ready": True, "reason": None}

Prepare = Callable[[resile.Health], object]


def well(health: resile.Health) -> None:
    health.check("database", critical=True)(lambda: None)
    health.check("ipc")(lambda: {"connections": 42})


def degraded(health: resile.Health) -> None:
    health.check("cache")(failing)


def down(health: resile.Health) -> None:
    health.check("database", critical=True)(failing)


def draining(health: resile.Health) -> None:
    well(health)
    health.drain("it ends")


def starting(health: resile.Health) -> AbstractContextManager[None]:
    block = health.starting("loading the model")
    block.__enter__()
    return block


def unready(reason: str) -> dict[str, object]:
    return {"ready": False, "reason": reason}


REFUSED = "database: ConnectionRefusedError: Connection refused"


@pytest.fixture(params=sorted(CARRIERS))
def carrier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def health() -> Iterator[resile.Health]:
    with service() as health:
        yield health


@pytest.mark.parametrize(
    ("prepare", "path", "status", "content"),
    [
        (well, "/health/live", 200, LIVE),
        (well, "/health/ready", 200, READY),
        (well, "/health/ready/", 200, READY),
        (well, "/health/ready?verbose=1", 200, READY),
        (degraded, "/health/ready", 200, READY),
        (down, "/health/live", 200, LIVE),
        (down, "/health/ready", 503, unready(REFUSED)),
        (draining, "/health/live", 200, LIVE),
        (draining, "/health/ready", 503, unready("it ends")),
        (starting, "/health/ready", 503, unready("starting: loading the model")),
    ],
)
def test_a_probe_gets_its_answer(
    carrier: str,
    health: resile.Health,
    prepare: Prepare,
    path: str,
    status: int,
    content: dict[str, object],
) -> None:
    kept = prepare(health)

    with CARRIERS[carrier](health) as ask:
        got = ask("GET", path)

    del kept
    assert (got.status, got.json) == (status, content)
    assert got.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("prepare", "code", "status"),
    [(well, 200, "healthy"), (degraded, 200, "degraded"), (down, 503, "unhealthy")],
)
def test_health_tells_of_every_component(
    carrier: str, health: resile.Health, prepare: Prepare, code: int, status: str
) -> None:
    prepare(health)

    with CARRIERS[carrier](health) as ask:
        got = ask("GET", "/health")

    assert (got.status, got.json["status"]) == (code, status)
    assert sorted(got.json) == ["components", "status", "timestamp", "uptime_seconds"]
    for component in got.json["components"].values():
        assert component["response_ms"] >= 0
        assert component["last_check"].endswith("Z")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/healthy", 404),
        ("GET", "/health/live/more", 404),
        ("GET", "/HEALTH", 404),
        ("POST", "/nothing", 404),
        ("POST", "/health", 405),
        ("DELETE", "/metrics", 405),
        ("OPTIONS", "/health/live", 405),
    ],
)
def test_what_is_not_offered_is_refused_as_json(
    carrier: str, health: resile.Health, method: str, path: str, status: int
) -> None:
    with CARRIERS[carrier](health) as ask:
        got = ask(method, path)

    assert got.status == status
    assert sorted(got.json) == ["error", "hint"]
    assert got.headers.get("allow") == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics", "/no"])
def test_head_has_the_headers_of_get_and_no_body(
    carrier: str, health: resile.Health, path: str
) -> None:
    well(health)

    with CARRIERS[carrier](health) as ask:
        get, head = ask("GET", path), ask("HEAD", path)

    assert head.body == b""
    assert head.status == get.status
    # A duration or an age may have one more digit in the second of two answers.
    for name in {*get.headers} - {"date", "content-length"}:
        assert head.headers[name] == get.headers[name]
    assert int(get.headers["content-length"]) == len(get.body)
    assert abs(int(head.headers["content-length"]) - len(get.body)) < 100


def test_nothing_on_the_way_may_keep_an_answer(carrier: str, health: resile.Health) -> None:
    with CARRIERS[carrier](health) as ask:
        answers = [ask("GET", path) for path in ("/health", "/health/live", "/metrics", "/no")]

    assert {got.headers["cache-control"] for got in answers} == {"no-store"}


def test_a_check_that_hangs_holds_up_no_endpoint_twice(carrier: str, health: resile.Health) -> None:
    with hanging() as gate:
        health.check("database", critical=True, timeout=0.02)(gate)
        with CARRIERS[carrier](health) as ask:
            answers = [ask("GET", "/health/ready") for _ in range(5)]
            live = ask("GET", "/health/live")
            told = ask("GET", "/health")

    assert gate.calls == 1
    assert [got.json["reason"] for got in answers] == ["database: no answer within 20ms"] * 5
    assert live.json == LIVE
    assert told.status == 503


def test_readiness_waits_for_nothing_that_is_not_critical(
    carrier: str, health: resile.Health
) -> None:
    with hanging() as gate:
        health.check("cache", timeout=60)(gate)
        with CARRIERS[carrier](health) as ask:
            assert ask("GET", "/health/ready").json == READY

    assert gate.calls == 0


def test_a_coroutine_is_a_check_as_well(carrier: str, health: resile.Health) -> None:
    @health.check("queue")
    async def queue() -> HealthResult:
        return HealthResult(HealthStatus.DEGRADED, "it is long", {"jobs": 7})

    with CARRIERS[carrier](health) as ask:
        component = ask("GET", "/health").json["components"]["queue"]

    assert (component["status"], component["message"], component["jobs"]) == (
        "degraded",
        "it is long",
        7,
    )


def test_a_coroutine_that_hangs_is_cancelled(carrier: str, health: resile.Health) -> None:
    began, was_cancelled = threading.Event(), threading.Event()

    @health.check("queue", critical=True, timeout=0.02)
    async def queue() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    with CARRIERS[carrier](health) as ask:
        got = ask("GET", "/health/ready")
        for _ in range(100):  # On a busy machine its time is over before it has begun.
            if began.is_set():
                break
            ask("GET", "/health/ready")
        ask("GET", "/health/live")  # Gives an event loop that waited with us another turn.
        assert was_cancelled.wait(PATIENCE_S)

    assert got.json["reason"] == "queue: no answer within 20ms"


def test_metrics_are_text_of_version_0_0_4(carrier: str, health: resile.Health) -> None:
    well(health)

    with CARRIERS[carrier](health) as ask:
        got: Got = ask("GET", "/metrics")

    assert got.status == 200
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"service_ready 1\n" in got.body
    assert got.body.endswith(b"\n")


def test_hostile_texts_stay_within_bounds(carrier: str, health: resile.Health) -> None:
    health.check("noisy")(
        lambda: HealthResult(
            HealthStatus.DEGRADED,
            "\x1b[31m" + "x" * 100_000 + "\nsecond line",
            {f"field{i}": "y" * 10_000 for i in range(1000)} | {"status": "fine"},
        )
    )

    with CARRIERS[carrier](health) as ask:
        got = ask("GET", "/health")

    component = got.json["components"]["noisy"]
    assert len(got.body) < 10_000
    assert component["status"] == "degraded"
    assert "\x1b" not in component["message"]


def test_infinity_is_no_json(carrier: str, health: resile.Health) -> None:
    health.check("odd")(lambda: {"ratio": float("inf"), "share": float("nan"), "what": object})

    with CARRIERS[carrier](health) as ask:
        got = ask("GET", "/health")

    assert json.loads(got.body, parse_constant=pytest.fail)["status"] == "healthy"
    assert got.json["components"]["odd"]["ratio"] is None
