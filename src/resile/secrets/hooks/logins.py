"""Log in with a secret: user and password for any driver's `connect`."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from resile.secrets.value import Secret

C = TypeVar("C")

KEPT_IN: Final = "resile_secret"
"""The attribute of a connection that holds the secret which it was opened with."""


def login_of(secret: Secret) -> dict[str, str]:
    """Give `user` and `password`, as drivers call them; a secret that is no object is a password.

    Raises:
        SecretError: If the secret is an object without a password.
    """
    if not secret.reveal_bytes().lstrip().startswith(b"{"):
        return {"password": secret.reveal()}
    login = {"password": secret.field("password")}
    if "username" in secret.fields():
        login["user"] = secret.field("username")
    return login


def open_with(
    connect: Callable[..., C], args: tuple[Any, ...], options: dict[str, Any], secret: Secret
) -> C:
    """Open a connection with a secret, which it holds for as long as it lives."""
    return keep(connect(*args, **{**options, **login_of(secret)}), secret)


async def aopen_with(
    connect: Callable[..., Awaitable[C]],
    args: tuple[Any, ...],
    options: dict[str, Any],
    secret: Secret,
) -> C:
    """Open a connection with a secret, which it holds for as long as it lives."""
    return keep(await connect(*args, **{**options, **login_of(secret)}), secret)


def keep(connection: C, secret: Secret) -> C:
    """Have a connection hold its secret, so that it counts as used until the connection is gone."""
    with contextlib.suppress(AttributeError, TypeError):  # Some take no attributes of others.
        setattr(connection, KEPT_IN, secret)
    return connection
