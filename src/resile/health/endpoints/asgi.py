"""The endpoints as an ASGI application, alone or in front of another one.

Source: https://asgi.readthedocs.io/en/stable/specs/www.html
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from resile.health.endpoints.endpoint import Endpoint
from resile.health.endpoints.pages import Answer, find_page

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_app(endpoint: Endpoint, app: ASGIApp | None) -> ASGIApp:
    """Make the application; what is not for the endpoints goes to `app`, or is not found."""
    import asyncio

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint.belongs_to(asyncio.get_running_loop())
        is_http = scope["type"] == "http"
        page = find_page(scope["path"], scope.get("root_path", "")) if is_http else None
        if page is None and app is not None:
            await app(scope, receive, send)
        elif is_http:
            method = scope["method"]
            answer = await endpoint.answer_async(page, method)
            await _send(send, answer, is_head=method == "HEAD")
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    return serve


async def _send(send: Send, answer: Answer, *, is_head: bool) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else answer.body})


async def _live(receive: Receive, send: Send) -> None:
    """Say yes to the server's start and to its end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
