"""Ask an application without a server: httpx over ASGI, and raw ASGI for endless streams."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi import FastAPI


def ask(
    app: FastAPI, path: str, method: str = "GET", *, base: str = "http://127.0.0.1", **options: Any
) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


class Reader:
    """One raw ASGI request to /events. `can_send` holds the answer back like a slow reader."""

    def __init__(
        self, app: FastAPI, query: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_ended = False
        self.can_send = asyncio.Event()
        self.can_send.set()
        self._chunks: list[bytes] = []
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/events",
            "raw_path": b"/events",
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"host", b"127.0.0.1"),
                *((k.encode(), v.encode()) for k, v in (headers or {}).items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.can_send.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self._chunks.append(message.get("body", b""))
            self.is_ended = not message.get("more_body", False)
        self._news.set()

    @property
    def text(self) -> str:
        return b"".join(self._chunks).decode()

    @property
    def ids(self) -> list[int]:
        return [int(line[3:]) for line in self.text.splitlines() if line.startswith("id:")]

    async def wait_until(self, fact: Callable[["Reader"], bool]) -> None:
        async with asyncio.timeout(20):
            while not fact(self):
                self._news.clear()
                await self._news.wait()

    async def disconnect(self) -> None:
        self._gone.set()
        await self.task


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(bounded())
