"""Secrets of this process for other libraries: connections of any driver, engines of SQLAlchemy, httpx."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from resile.secrets.attempts import aattempt, attempt
from resile.secrets.hooks.logins import aopen_with, open_with
from resile.secrets.manager import SecretManager
from resile.secrets.using import current_manager

C = TypeVar("C")


def connect_with(name: str, connect: Callable[..., C], *args: Any, **options: Any) -> C:
    """Open a connection with the user and password of a secret; once more with a newer one if refused.

    The secret is a JSON object with `username` and `password`, or a password alone. The connection holds
    it, and so the old version counts as used for as long as the connection object lives.

    Args:
        name: The secret.
        connect: A driver's, such as `psycopg.connect`; gets `user` and `password` besides.
        args: For `connect`.
        options: For `connect`.

    Raises:
        SecretError: If there is no such secret.
        Exception: What `connect` raises at last.
    """
    return attempt(current_manager(), name, partial(open_with, connect, args, options))


async def aconnect_with(
    name: str, connect: Callable[..., Awaitable[C]], *args: Any, **options: Any
) -> C:
    """Open a connection without blocking the event loop, such as by `AsyncConnection.connect`."""
    return await aattempt(current_manager(), name, partial(aopen_with, connect, args, options))


def bind_engine(
    engine: Any, name: str, *, manager: SecretManager | None = None
) -> Callable[[], None]:
    """Have the connections of a SQLAlchemy engine log in with a secret, from version to version.

    A login that is refused is tried once more with a newer version. With each new version idle
    connections are closed, and those in use when they come back to the pool; then the old version counts
    as used no more. For an engine without a creator of its own.

    Args:
        engine: An Engine or an AsyncEngine; what its URL says of user and password does not count.
        name: The secret: a JSON object with `username` and `password`, or a password alone.
        manager: Whose. Default: that of this process.

    Returns:
        What ends the following of new versions.

    Raises:
        ConfigError: If nothing says where secrets are.
    """
    from resile.secrets.hooks.engines import EngineLogin

    return EngineLogin(engine, manager or current_manager(), name).start()


def httpx_auth(
    name: str,
    *,
    header: str = "Authorization",
    prefix: str = "Bearer ",
    manager: SecretManager | None = None,
) -> Any:
    """Give an `httpx.Auth` that sends a secret with each request; once more with a newer one after a 401.

    A request whose body is a stream is sent once only.

    Args:
        name: The secret.
        header: What it stands in.
        prefix: What stands before it; "" for an API key alone.
        manager: Whose. Default: that of this process.

    Raises:
        ConfigError: If nothing says where secrets are.
        MissingExtraError: If httpx is not installed.
    """
    from resile.secrets.hooks.http import HeaderLogin

    login = HeaderLogin(manager or current_manager(), name, header=header, prefix=prefix)
    return login.auth()
