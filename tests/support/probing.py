"""Ask health endpoints as a prober does, over each carrier, and make checks that behave as a test wants."""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx

import resile

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Got:
    """What an endpoint answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[[str, str], Got]
"""Takes method and path."""


@contextmanager
def over_asgi(health: resile.Health) -> Iterator[Ask]:
    with asyncio.Runner() as runner:

        async def request(method: str, path: str) -> Got:
            transport = httpx.ASGITransport(app=health.asgi())  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                answer = await client.request(method, path)
            return Got(answer.status_code, dict(answer.headers), answer.content)

        yield lambda method, path: runner.run(request(method, path))


@contextmanager
def over_wsgi(health: resile.Health) -> Iterator[Ask]:
    yield lambda method, path: ask_wsgi(health.wsgi(), method, path)


def ask_wsgi(app: Any, method: str, path: str, *, script: str = "") -> Got:
    """Call an application as PEP 3333 says, with a judge between."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": script}
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    setup_testing_defaults(environ)
    started: list[Any] = []

    def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        started.extend((status, headers))
        return lambda data: None

    chunks = validator(app)(environ, start)
    try:
        body = b"".join(chunks)
    finally:
        chunks.close()  # type: ignore[attr-defined]
    status, headers = started
    return Got(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)


@contextmanager
def over_socket(health: resile.Health) -> Iterator[Ask]:
    with health.serve(0) as server:

        def ask(method: str, path: str) -> Got:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                headers = {name.lower(): value for name, value in answer.getheaders()}
                return Got(answer.status, headers, answer.read())
            finally:
                connection.close()

        yield ask


CARRIERS = {"asgi": over_asgi, "wsgi": over_wsgi, "socket": over_socket}


class Gate:
    """A check that hangs until it is opened."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_entered = threading.Event()
        self.is_open = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.is_entered.set()
        self.is_open.wait(PATIENCE_S)


@contextmanager
def hanging() -> Iterator[Gate]:
    """Give such a check, and let it end with the test."""
    gate = Gate()
    try:
        yield gate
    finally:
        gate.is_open.set()


@contextmanager
def service(**options: Any) -> Iterator[resile.Health]:
    """Give a health that is closed with the test."""
    health = resile.Health(**options)
    try:
        yield health
    finally:
        health.close()


def failing() -> None:
    """A check of something that is down."""
    raise ConnectionRefusedError(111, "Connection refused")
