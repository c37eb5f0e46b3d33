"""Faults on purpose that were left active: their engine and their watchdog were both killed."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from resile.errors import ResileError

logger = logging.getLogger(__name__)

LEFT_S_MAX: Final = 60.0
"""A watchdog starts within seconds; a look that hangs keeps nothing else waiting."""


async def watch_left_faults(watch: Callable[[], bool], *, say: Callable[[str], None]) -> None:
    """Have them ended by a new watchdog. Looks once, and never raises but when it is cancelled.

    Args:
        watch: Starts a watchdog if one is needed, and tells whether it did; called in a thread.
        say: Called with a line for people if there were any.
    """
    try:
        async with asyncio.timeout(LEFT_S_MAX):
            if await asyncio.to_thread(watch):
                say("faults on purpose were left that nobody watched: they are being ended")
    except (ResileError, OSError) as exc:  # A TimeoutError is an OSError, too.
        logger.warning("chaos.left_unwatched reason=%s", str(exc) or type(exc).__name__)
