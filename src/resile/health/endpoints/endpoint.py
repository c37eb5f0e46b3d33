"""Answer a page: start the checks that it needs, wait for them within bounds, write what is so."""

from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from resile.core.clock import Clock
from resile.core.metrics import CONTENT_TYPE
from resile.health.endpoints.decide import unready_reason
from resile.health.endpoints.looks import Looks
from resile.health.endpoints.meters import Meters
from resile.health.endpoints.pages import (
    METHODS,
    Answer,
    Page,
    health_answer,
    live_answer,
    ready_answer,
    refusal,
)
from resile.health.endpoints.phase import Phase

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Endpoint:
    """The four pages of one service. Safe to share between threads.

    Args:
        looks: Its checks.
        meters: Its gauges and counters.
        phase: Whether it begins, serves or ends.
        clock: Stamps answers and measures the uptime.
        age_s: How old the process is now.
    """

    def __init__(
        self, *, looks: Looks, meters: Meters, phase: Phase, clock: Clock, age_s: float
    ) -> None:
        self._looks = looks
        self._meters = meters
        self._phase = phase
        self._clock = clock
        self._began_s = clock.monotonic() - age_s

    def belongs_to(self, loop: "AbstractEventLoop") -> None:
        """Have coroutines of checks run on this event loop, as what they use belongs to it."""
        self._looks.loop = loop

    def answer(self, page: Page | None, method: str) -> Answer:
        """Answer a request. Blocks for the longest time-out of a check at most."""
        if page is None or method not in METHODS:
            return refusal(page)
        waited_for, left_s = self._begin(page)
        if waited_for:
            wait(waited_for, timeout=left_s)
        return self._answer(page)

    async def answer_async(self, page: Page | None, method: str) -> Answer:
        """Answer a request without blocking the event loop."""
        if page is None or method not in METHODS:
            return refusal(page)
        waited_for, left_s = self._begin(page)
        if waited_for:
            await _wait_async(waited_for, left_s)
        return self._answer(page)

    def _begin(self, page: Page) -> tuple[list["Future[None]"], float]:
        if page is Page.LIVE or (page is Page.READY and self._phase.reason()):
            return [], 0.0
        return self._looks.begin(critical_only=page is Page.READY)

    def _answer(self, page: Page) -> Answer:
        if page is Page.LIVE:
            return live_answer()
        components = self._looks.components()
        reason = self._phase.reason() or unready_reason(components)
        if page is Page.READY:
            return ready_answer(reason)
        uptime_s = self._clock.monotonic() - self._began_s
        if page is Page.HEALTH:
            return health_answer(components, now=self._clock.now(), uptime_s=uptime_s)
        text = self._meters.text(components, uptime_s=uptime_s, is_ready=not reason)
        return Answer(200, CONTENT_TYPE, text.encode(errors="replace"))


async def _wait_async(waited_for: list["Future[None]"], left_s: float) -> None:
    import asyncio

    wrapped = [asyncio.wrap_future(future) for future in waited_for]
    try:
        await asyncio.wait(wrapped, timeout=left_s)
    finally:
        for future in wrapped:
            future.cancel()  # One that hangs may end when this loop is gone.
