"""What stands around every request, as pure ASGI: probe, headers, host check, body limit.

Starlette's BaseHTTPMiddleware is not used: it buffers between tasks and hides a disconnect from
an endless stream.
"""

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resile.web.answers import error_answer

BODY_BYTES_MAX = 64 << 10
"""The longest body that a request may have: 500 paths of a run; all others are below 200 bytes."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class LivenessProbe:
    """Answer `/livez` before anything else is looked at, from bytes made beforehand.

    That it answers is what it says: the event loop turns.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._alive = Response(
            "ok\n", headers={"cache-control": "no-store"}, media_type="text/plain"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the probe, or pass the request on."""
        is_probe = scope["type"] == "http" and scope["path"] == "/livez"
        if is_probe and scope["method"] in {"GET", "HEAD"}:
            await self._alive(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class SecurityHeaders:
    """Add the headers that keep a browser from doing more than the page needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to its answer what is missing."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class HostCheck:
    """Refuse requests whose Host is a name that is not ours.

    A web page elsewhere can point its own name at 127.0.0.1 and read our answers (DNS
    rebinding). Such a request carries that name; one with an IP address or `localhost` cannot.

    Args:
        app: What is protected.
        hosts: Further names under which the daemon may be reached.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its Host is ours; else answer 421."""
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else "localhost"
        if self._is_ours(host):
            await self._app(scope, receive, send)
            return
        answer = error_answer(
            421,
            f"resile does not answer under the host name {host!r}.",
            "Use 127.0.0.1, localhost, or the host that resile.toml names.",
        )
        await answer(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host).lower()
        return name in self._names or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class BodyLimit:
    """Refuse a body that is too long, or whose length is not told beforehand."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 411 or 413."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers({})
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            await error_answer(411, "The request does not tell its length.")(scope, receive, send)
        elif not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            message = f"The request's body is longer than {BODY_BYTES_MAX} bytes."
            await error_answer(413, message)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
