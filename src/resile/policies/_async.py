"""The loops of the asynchronous colour, and its waiting; `asyncio` is loaded by the first wait."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from resile.core.clock import Clock, SystemClock
from resile.policies.nesting import mark_loop

if TYPE_CHECKING:
    from resile.policies.breaking import BreakerLayer
    from resile.policies.retrying import RetryLayer

T = TypeVar("T")


async def retry(layer: "RetryLayer", call: Callable[[], Awaitable[T]]) -> T:
    """Do `call` until it succeeds or the run of attempts gives up."""
    run = layer.start()
    try:
        while True:
            try:
                result = await call()
            except Exception as error:
                wait_s = run.failed(error)
                if wait_s is None:
                    wrapped = run.exhausted()
                    if wrapped is None:
                        raise
                    raise wrapped from error
            else:
                wait_s = run.returned(result)
                if wait_s is None:
                    wrapped = run.exhausted()
                    if wrapped is None:
                        return result
                    raise wrapped
            await asleep(layer.clock, wait_s)
    finally:
        run.close()


mark_loop(retry.__code__)


async def breaker(layer: "BreakerLayer", call: Callable[[], Awaitable[T]]) -> T:
    """Do `call` if the breaker lets it through, and tell it what came of it."""
    probe = layer.start(call)
    try:
        result = await call()
    except Exception as error:
        probe.failed(error)
        raise
    else:
        probe.returned(result)
        return result
    finally:
        probe.close()


async def asleep(clock: Clock, seconds: float) -> None:
    """Let `seconds` pass on a clock without blocking the event loop.

    A clock that is not the machine's own sleeps at once, so its sleep is called in place; the other
    tasks get a turn all the same.
    """
    import asyncio

    if isinstance(clock, SystemClock):
        await asyncio.sleep(seconds)
        return
    clock.sleep(seconds)
    await asyncio.sleep(0)
