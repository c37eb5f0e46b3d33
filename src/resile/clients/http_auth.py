"""Authenticate requests of httpx with a value that may change; once anew if the server answers 401."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from resile.clients._extras import require

_UNAUTHORIZED: Final = 401


def header_auth(
    header: str,
    *,
    read: Callable[[], tuple[str, str]],
    refresh: Callable[[str], tuple[str, str] | None],
    aread: Callable[[], Awaitable[tuple[str, str]]],
    arefresh: Callable[[str], Awaitable[tuple[str, str] | None]],
    refused: Callable[[], None],
) -> Any:
    """Make an `httpx.Auth` that puts a value into a header of each request.

    Each request is sent twice at most; once, if its body is a stream, which is gone then.

    Args:
        header: Its name.
        read: Gives a version, and the header's text.
        refresh: Gives a newer one than this version; None if there is none.
        aread: As `read`, for asynchronous clients.
        arefresh: As `refresh`, for asynchronous clients.
        refused: Called when the newer one was refused, too.

    Raises:
        MissingExtraError: If httpx is not installed.
    """
    httpx = require("httpx", extra="daemon")

    def may_repeat(request: Any, response: Any) -> bool:
        is_refused: bool = response.status_code == _UNAUTHORIZED
        return is_refused and isinstance(request.stream, httpx.ByteStream)

    class HeaderAuth(httpx.Auth):  # type: ignore[misc, name-defined]
        """Reads the value for each request."""

        def sync_auth_flow(self, request: Any) -> Iterator[Any]:
            version, request.headers[header] = read()
            response = yield request
            if not may_repeat(request, response):
                return
            newer = refresh(version)
            if newer is not None:
                request.headers[header] = newer[1]
                _judge((yield request), refused)

        async def async_auth_flow(self, request: Any) -> AsyncIterator[Any]:
            version, request.headers[header] = await aread()
            response = yield request
            if not may_repeat(request, response):
                return
            newer = await arefresh(version)
            if newer is not None:
                request.headers[header] = newer[1]
                _judge((yield request), refused)

    return HeaderAuth()


def _judge(response: Any, refused: Callable[[], None]) -> None:
    if response.status_code == _UNAUTHORIZED:
        refused()
