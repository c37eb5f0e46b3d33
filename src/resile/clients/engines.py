"""What is done with an engine of SQLAlchemy. Whoever has an engine has SQLAlchemy, so it is no extra."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, Final, TypeVar

T = TypeVar("T")

DISPOSE_TIMEOUT_S: Final = 30.0


def plain_engine(engine: Any) -> Any:
    """Give the engine that has the events and the pool: of an AsyncEngine the one inside."""
    return getattr(engine, "sync_engine", engine)


def listen(engine: Any, event: str, do: Callable[..., Any]) -> None:
    """Have something done at each event of an engine, or of its pools."""
    import_module("sqlalchemy.event").listen(plain_engine(engine), event, do)


def wait_inside(work: Coroutine[Any, Any, T]) -> T:
    """Await something from code that an AsyncEngine runs, without blocking the event loop."""
    result: T = import_module("sqlalchemy.util").await_only(work)
    return result


def dispose(engine: Any, loop: asyncio.AbstractEventLoop | None) -> None:
    """Close the connections of an engine that nobody uses, and let it open new ones. Blocks.

    Args:
        engine: The engine, or the AsyncEngine.
        loop: Where an AsyncEngine has opened its connections; None for a plain engine.

    Raises:
        TimeoutError: If the loop does not do it within 30 s.
    """
    if loop is None:
        plain_engine(engine).dispose()
        return
    closing = asyncio.run_coroutine_threadsafe(engine.dispose(), loop)
    try:
        closing.result(DISPOSE_TIMEOUT_S)
    except TimeoutError:
        closing.cancel()
        raise
