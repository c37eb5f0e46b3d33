"""What the asynchronous colour needs to wait. `asyncio` is loaded when something first waits."""

from resile.core.clock import Clock, SystemClock


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
