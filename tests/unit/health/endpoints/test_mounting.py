"""The endpoints in front of other applications, and mounted below a path."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.support.probing import ask_wsgi, service

import resile

LIVE = {"alive": True}


@pytest.fixture
def health() -> Iterator[resile.Health]:
    with service() as health:
        yield health


async def home(_: Any) -> PlainTextResponse:
    return PlainTextResponse("home")


def get(app: Any, path: str) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get(path)

    return asyncio.run(request())


@pytest.mark.parametrize(
    ("mounted_at", "path"),
    [
        ("/", "/health/live"),
        ("/", "/metrics"),
        ("/internal", "/internal/health/live"),
        ("/internal", "/internal/metrics"),
        ("/health", "/health/live"),
        ("/health", "/health/ready"),
        ("/health", "/health/"),
    ],
)
def test_mounted_in_starlette(health: resile.Health, mounted_at: str, path: str) -> None:
    app = Starlette(routes=[Route("/", home)])
    app.mount(mounted_at, health.asgi())

    assert get(app, path).status_code == 200
    assert get(app, "/").text == "home"


def test_in_front_of_fastapi(health: resile.Health) -> None:
    app = FastAPI()
    app.add_route("/", home)
    app.add_middleware(health.asgi)

    assert get(app, "/health/live").json() == LIVE
    assert get(app, "/").text == "home"
    assert get(app, "/docs").status_code == 200


def drive(app: Any, scope: dict[str, Any], *received: str) -> list[Any]:
    """Call an application as a server does, with messages of these types; give what it sent."""
    messages = iter(received)
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_an_old_server_gives_the_path_without_the_root(health: resile.Health) -> None:
    scope = {"type": "http", "method": "GET", "path": "/live", "root_path": "/health"}

    sent = drive(health.asgi(), scope)

    assert sent[0]["status"] == 200


def test_head_sends_no_body(health: resile.Health) -> None:
    """Servers would cut it off themselves, and so does the client of the other tests."""
    sent = drive(health.asgi(), {"type": "http", "method": "HEAD", "path": "/health/live"})

    assert [one.get("body") for one in sent] == [None, b""]


def test_the_start_and_end_of_the_application_behind_pass_through(health: resile.Health) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])
        await send({"type": "lifespan.startup.failed"})

    sent = drive(health.asgi(app), {"type": "lifespan"}, "lifespan.startup")

    assert seen == ["lifespan.startup"]
    assert sent == [{"type": "lifespan.startup.failed"}]


def test_alone_it_starts_and_ends_with_its_server(health: resile.Health) -> None:
    messages = ("lifespan.startup", "lifespan.shutdown")

    sent = drive(health.asgi(), {"type": "lifespan"}, *messages)

    assert [one["type"] for one in sent] == [f"{name}.complete" for name in messages]


def test_alone_it_takes_no_websocket(health: resile.Health) -> None:
    sent = drive(health.asgi(), {"type": "websocket", "path": "/health"}, "websocket.connect")

    assert [one["type"] for one in sent] == ["websocket.close"]


def test_in_front_of_a_wsgi_application(health: resile.Health) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"home"]

    wrapped = health.wsgi(app)

    assert ask_wsgi(wrapped, "GET", "/health/live").json == LIVE
    assert ask_wsgi(wrapped, "GET", "/").body == b"home"
    assert ask_wsgi(wrapped, "POST", "/orders").body == b"home"


@pytest.mark.parametrize(
    ("script", "path"), [("/health", "/live"), ("/health", ""), ("/internal", "/health/live")]
)
def test_mounted_in_a_wsgi_dispatcher(health: resile.Health, script: str, path: str) -> None:
    assert ask_wsgi(health.wsgi(), "GET", path, script=script).status == 200


@pytest.mark.parametrize("carrier", ["asgi", "wsgi"])
@pytest.mark.parametrize("app", [5, "x", False])
def test_what_is_no_application_is_refused(health: resile.Health, carrier: str, app: Any) -> None:
    with pytest.raises(resile.ConfigError, match="is not callable") as caught:
        getattr(health, carrier)(app)

    assert f"health.{carrier}(app)" in caught.value.hint
