"""Do what needs a credential; if that is refused, ask for a newer one and do it once more.

A cache may hold a credential that was rotated a moment ago. One repetition with the newest heals that; more
would lock accounts, and hide that something is wrong.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from resile.errors import SecretError
from resile.secrets.manager import SecretManager
from resile.secrets.refusals import looks_refused
from resile.secrets.value import Secret

T = TypeVar("T")
Predicate = Callable[[Exception], bool]


def attempt(
    manager: SecretManager,
    name: str,
    call: Callable[[Secret], T],
    *,
    is_refused: Predicate = looks_refused,
) -> T:
    """Do `call` with a secret; once more with a newer version if the first was refused.

    Args:
        manager: Whose secret.
        name: Which.
        call: Gets the secret. It is done twice at most, and the second time only if there is another
            version than the one that was refused.
        is_refused: Tells from an error whether a credential was refused.

    Raises:
        SecretError: If there is no secret to begin with.
        Exception: What `call` raises at last.
    """
    return repeated(
        name,
        call,
        read=manager.secret,
        refresh=lambda name, version: manager.refresh(name, instead_of=version),
        manager=manager,
        is_refused=is_refused,
    )


def repeated(
    name: str,
    call: Callable[[Secret], T],
    *,
    read: Callable[[str], Secret],
    refresh: Callable[[str, str], Secret],
    manager: SecretManager,
    is_refused: Predicate = looks_refused,
) -> T:
    """Do as `attempt`, with one's own ways to read a secret and to have a newer one than a version."""
    secret = read(name)
    try:
        return call(secret)
    except Exception as exc:
        if not is_refused(exc):
            raise
        newer = _newer(manager, name, secret.version, refresh)
        if newer is None:
            raise
    try:
        return call(newer)
    except Exception as exc:
        if is_refused(exc):
            manager.refusals.add(name)
        raise


async def aattempt(
    manager: SecretManager,
    name: str,
    call: Callable[[Secret], Awaitable[T]],
    *,
    is_refused: Predicate = looks_refused,
) -> T:
    """Await `call` with a secret; once more with a newer version if the first was refused; as `attempt`."""
    secret = await manager.asecret(name)
    try:
        return await call(secret)
    except Exception as exc:
        if not is_refused(exc):
            raise
        newer = await _anewer(manager, name, secret.version)
        if newer is None:
            raise
    try:
        return await call(newer)
    except Exception as exc:
        if is_refused(exc):
            manager.refusals.add(name)
        raise


def _newer(
    manager: SecretManager, name: str, version: str, refresh: Callable[[str, str], Secret]
) -> Secret | None:
    """Give another version than the one that was refused; None if there is none to be had."""
    try:
        found = refresh(name, version)
    except SecretError:
        return None
    return _counted(manager, name, found, version)


async def _anewer(manager: SecretManager, name: str, version: str) -> Secret | None:
    try:
        found = await manager.arefresh(name, instead_of=version)
    except SecretError:
        return None
    return _counted(manager, name, found, version)


def _counted(manager: SecretManager, name: str, found: Secret, version: str) -> Secret | None:
    if found.version != version:
        return found
    manager.refusals.add(name)
    return None
