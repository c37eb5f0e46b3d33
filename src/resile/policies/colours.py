"""Refuse to call a coroutine function as a plain one, or the other way round, before it does harm.

A coroutine that nobody awaits does nothing, and looks like a success to whatever called for it.
"""

from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import ParamSpec, TypeVar

from resile.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


def check_called(value: object, function: object, *, instead: str) -> None:
    """Refuse the coroutine that a plain call gave.

    Args:
        value: What the call gave.
        function: What was called.
        instead: What the caller should write.

    Raises:
        ConfigError: If it is one; it is closed.
    """
    if isinstance(value, CoroutineType):
        value.close()
        raise ConfigError(
            f"{_shown(function)} gave a coroutine, which nobody would await",
            hint=f"write {instead}",
        )


async def awaited(function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Await what a function gives that is no coroutine function.

    Raises:
        ConfigError: If that cannot be awaited.
    """
    given = function(*args, **kwargs)
    if not isinstance(given, Awaitable):
        raise ConfigError(
            f"{_shown(function)} gave {type(given).__name__}, which nobody can await",
            hint="call plain functions with `call`",
        )
    return await given


def _shown(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or f"{function!r:.80}")
