"""The secrets of this process: `resile.secret` and what goes with it, over one manager.

A process of a system asks the keeper of that system. Another one says where its secrets are by
`use_secrets`, or by the variable RESILE_SECRETS.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from resile.clients.starting import program_name
from resile.core.vocabulary import SECRETS_VARIABLE, STATE_VARIABLE
from resile.errors import ConfigError
from resile.policies.forks import RenewedLock
from resile.secrets import attempts
from resile.secrets.attempts import Predicate
from resile.secrets.handing import Callback
from resile.secrets.manager import SecretManager
from resile.secrets.model import CURRENT_VERSION
from resile.secrets.port import Provider
from resile.secrets.refusals import looks_refused
from resile.secrets.settings import TIMES, from_variable, table_of, terms_of
from resile.secrets.value import Secret

T = TypeVar("T")

_manager: SecretManager | None = None
_seeing: list[Callable[[Secret], None]] = []
_lock = RenewedLock()


def secret(name: str, *, version: str = CURRENT_VERSION) -> Secret:
    """Give a secret. What is in memory costs less than a microsecond, so ask for it at each use.

    A value is served from memory for its time to live, and asked for anew before that ends. While the
    provider is away it is served for longer, up to `max_stale`; after a revocation or a denial it is
    not. Many who ask at once cause one question.

    Args:
        name: Which, such as "db/password".
        version: "current", "previous", or a number. Only the current one is kept in memory.

    Raises:
        UnknownSecretError: If there is none.
        SecretDeniedError: If this process may not have it.
        SecretRevokedError: If it was revoked.
        ProviderDownError: If the provider is away, and nothing in memory may be served.
        ConfigError: If nobody said where secrets are.
    """
    return (_manager or current_manager()).secret(name, version)


async def asecret(name: str, *, version: str = CURRENT_VERSION) -> Secret:
    """Give a secret without blocking the event loop; as `secret`."""
    return await (_manager or current_manager()).asecret(name, version)


def attempt(name: str, call: Callable[[Secret], T], *, is_refused: Predicate = looks_refused) -> T:
    """Do `call` with a secret; once more with a newer version if its login is refused.

    Three logins that are refused with the newest version within a minute are logged as a warning, and
    told to the daemon.

    Args:
        name: Which.
        call: Gets the secret. It is done twice at most.
        is_refused: Tells from an error whether a login was refused. Default: PostgreSQL's errors, also
            inside those of SQLAlchemy, and answers with the HTTP status 401.

    Raises:
        SecretError: As `secret` does.
        Exception: What `call` raises at last.
    """
    return attempts.attempt(_manager or current_manager(), name, call, is_refused=is_refused)


async def aattempt(
    name: str, call: Callable[[Secret], Awaitable[T]], *, is_refused: Predicate = looks_refused
) -> T:
    """Await `call` with a secret; once more with a newer version if its login is refused."""
    manager = _manager or current_manager()
    return await attempts.aattempt(manager, name, call, is_refused=is_refused)


def on_rotation(name: str, callback: Callback, *, is_enough: bool = True) -> Callable[[], None]:
    """Have a callback called with each new version of a secret, in a thread that may wait.

    When all callbacks of a name have returned, the daemon hears that this process uses the old version no
    more: a rotation waits for that before the old credential dies. Without a callback it hears so when
    nobody here holds a `Secret` of an older version any more.

    Args:
        name: Which.
        callback: Called with the new version. If it raises it is called again, ever less often.
        is_enough: False: the old version counts as used even after the callback, until nobody holds a
            `Secret` of it.

    Returns:
        What ends it.

    Raises:
        ConfigError: If there are too many, or nobody said where secrets are.
    """
    return (_manager or current_manager()).on_rotation(name, callback, is_enough=is_enough)


def use_secrets(provider: str | Provider | None = None, **settings: Any) -> SecretManager:
    """Say where the secrets of this process are, instead of what is so by itself. Call it at the start.

    Values that were read before stay as they are; the manager before this one is closed, and with it its
    callbacks.

    Args:
        provider: "local", "vault", "aws", "env", "file", another package's, or an object of your own.
            Default: the keeper of this system, or what RESILE_SECRETS says.
        settings: As in the table `[secrets]`, or in the table of that provider, such as `address` and
            `token_file`. `ttl` and `max_stale` may be text, such as "5m".

    Returns:
        The manager, for more: `history`, `refresh`, `close`.

    Raises:
        ConfigError: If a setting is wrong, or nothing says where secrets are.
        SecretError: If the provider cannot be opened.
    """
    global _manager
    manager = _begin(settings) if provider is None else _open(provider, settings)
    with _lock:
        before, _manager = _manager, manager
    if before is not None:
        before.close()
    return manager


def see_with(see: Callable[[Secret], None]) -> None:
    """Have something see each value that this process has read, and reads from now on."""
    _seeing.append(see)
    for known in () if _manager is None else _manager.held():
        see(known)


def current_manager() -> SecretManager:
    """Give the manager of this process; it is made when it is first needed.

    Raises:
        ConfigError: If nothing says where secrets are.
    """
    global _manager  # noqa: PLW0603 - one manager for one process
    with _lock:
        if _manager is None:
            _manager = _begin({})
        return _manager


def _begin(settings: Mapping[str, Any]) -> SecretManager:
    """Make the manager that this process has by itself."""
    state = os.environ.get(STATE_VARIABLE)
    if state:
        return _ask_keeper(Path(state).absolute(), settings)
    text = os.environ.get(SECRETS_VARIABLE)
    if text:
        kind, own = from_variable(text)
        return _open(kind, {**own, **settings})
    raise ConfigError(
        "nothing says where the secrets of this process are",
        hint='call resile.use_secrets("vault", address=...), set RESILE_SECRETS to "env" or '
        '"file:/run/secrets", or let a resile.toml start this program',
    )


def _ask_keeper(state: Path, settings: Mapping[str, Any]) -> SecretManager:
    from resile.secrets.providers.daemon import DaemonProvider

    _need_times_only(settings, "the keeper of a system")
    keeper = DaemonProvider.open(state, program=program_name())
    terms = terms_of(settings)
    return SecretManager(keeper, terms=terms, terms_of=keeper.terms_of, feed=keeper, seen=_seen)


def _open(provider: str | Provider, settings: Mapping[str, Any]) -> SecretManager:
    terms = terms_of(settings)
    if not isinstance(provider, str):
        _need_times_only(settings, "a provider that is open")
        return SecretManager(provider, terms=terms, seen=_seen)
    from resile.secrets.providers import open_provider

    found = open_provider(table_of(provider, settings), state=None, environ=os.environ)
    return SecretManager(found, terms=terms, seen=_seen)


def _seen(secret: Secret) -> None:
    for see in tuple(_seeing):
        see(secret)


def _need_times_only(settings: Mapping[str, Any], whose: str) -> None:
    others = sorted(set(settings) - set(TIMES))
    if others:
        raise ConfigError(
            f"{whose} takes no {', '.join(others)}", hint=f"it takes {' and '.join(TIMES)}"
        )
