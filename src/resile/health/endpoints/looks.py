"""Run checks so that none can hold up another, or whoever asks, and keep what they said.

Each check is called by at most one thread at a time, and one that has not returned is not called
again. So a check that hangs for ever costs one thread, and the next question about it is answered
at once.
"""

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

from resile.core.clock import Clock
from resile.errors import ConfigError
from resile.health.endpoints.decide import failure_of, result_of, silence_of
from resile.health.endpoints.model import Check, Component, HealthResult
from resile.health.workers import Workers
from resile.policies.forks import renew_in_children

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable

CHECKS_MAX = 100
"""Of one service; each may take a thread."""
CLOSE_TIMEOUT_S = 1.0
_EARLY_S = 0.001
"""A wait may end so much early, as the clocks of the kernel and of Python are rounded."""
_LOOP_GRACE_S = 1.0
"""An event loop that is busy gets so much longer to say that a check's time is over."""

logger = logging.getLogger(__name__)


class _Kept:
    """A check, its latest result, and since when it has been running."""

    __slots__ = ("began_s", "check", "component", "ended_s", "finished")

    def __init__(self, check: Check) -> None:
        self.check = check
        self.component: Component | None = None
        self.ended_s = 0.0
        self.began_s = 0.0
        self.finished: Future[None] | None = None


_Run: TypeAlias = "tuple[_Kept, Future[None]]"


class Looks:
    """The checks of one service. Safe to share between threads.

    Args:
        clock: Measures time-outs and ages.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self.loop: AbstractEventLoop | None = None
        """Where coroutines of checks run; None or one that has ended: on a loop of their own."""
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin without threads, as a child after a fork must."""
        self._lock = threading.Lock()
        # A job for each check at most, so that none has to wait for another: no lane is needed.
        self._workers: Workers[_Run] = Workers(
            self._run, threads_max=CHECKS_MAX + 1, slow_max=CHECKS_MAX
        )
        self.loop = None
        for kept in self._kept.values():
            kept.finished = None

    def add(self, check: Check) -> None:
        """Add a check.

        Raises:
            ConfigError: If its name is taken, or there are too many.
        """
        with self._lock:
            if check.name in self._kept:
                raise ConfigError(
                    f"there is a check {check.name!r} already", hint="give it another name"
                )
            if len(self._kept) >= CHECKS_MAX:
                raise ConfigError(
                    f"there are {CHECKS_MAX} checks already", hint="check several things in one"
                )
            self._kept[check.name] = _Kept(check)

    def begin(self, *, critical_only: bool = False) -> tuple[list["Future[None]"], float]:
        """Start the checks whose results are too old.

        Args:
            critical_only: Leave the others as they are.

        Returns:
            What to wait for, and for how many seconds at most. Checks that are overdue already
            are not in it.
        """
        waited_for: list[Future[None]] = []
        left_s = 0.0
        with self._lock:
            now_s = self._clock.monotonic()
            for kept in self._kept.values():
                if critical_only and not kept.check.critical:
                    continue
                if kept.finished is None and self._is_stale(kept, now_s):
                    self._start(kept, now_s)
                if kept.finished is not None and not _is_overdue(kept, now_s):
                    waited_for.append(kept.finished)
                    left_s = max(left_s, kept.began_s + kept.check.timeout_s - now_s)
        return waited_for, left_s

    def components(self) -> tuple[Component, ...]:
        """Tell what is known of every check, in the order in which they were added.

        A check that is overdue is unhealthy; one that was never begun is left out.
        """
        with self._lock:
            now_s = self._clock.monotonic()
            known = [self._known(kept, now_s) for kept in self._kept.values()]
        return tuple(component for component in known if component is not None)

    def close(self) -> None:
        """End the idle threads; one that hangs stays. Idempotent."""
        self._workers.close(clock=self._clock, timeout_s=CLOSE_TIMEOUT_S)

    def _is_stale(self, kept: _Kept, now_s: float) -> bool:
        return kept.component is None or now_s - kept.ended_s >= kept.check.ttl_s

    def _start(self, kept: _Kept, now_s: float) -> None:
        kept.began_s = now_s
        finished: Future[None] = Future()
        finished.set_running_or_notify_cancel()  # Whoever stops waiting cannot cancel it.
        kept.finished = finished
        self._workers.submit((kept, finished), is_slow=False)

    def _known(self, kept: _Kept, now_s: float) -> Component | None:
        if kept.finished is None or not _is_overdue(kept, now_s):
            return kept.component
        return self._component(kept.check, silence_of(kept.check), now_s - kept.began_s)

    def _run(self, run: _Run) -> None:
        """Call a check on a thread of its own, keep its result, and wake who waits."""
        kept, finished = run
        check = kept.check
        error: BaseException | None = None
        began_s = self._clock.monotonic()
        try:
            result = result_of(self._call(check))
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it raises is its result
            error, result = exc, failure_of(exc, check)
        ended_s = self._clock.monotonic()
        if ended_s - began_s > check.timeout_s:
            result = silence_of(check)
        component = self._component(check, result, ended_s - began_s)
        with self._lock:
            before, kept.component, kept.ended_s = kept.component, component, ended_s
            if kept.finished is finished:
                kept.finished = None
        _log_change(before, component, error)
        finished.set_result(None)

    def _call(self, check: Check) -> object:
        from inspect import isawaitable

        said = check.call()
        return self._awaited(said, check.timeout_s) if isawaitable(said) else said

    def _awaited(self, said: "Awaitable[object]", timeout_s: float) -> object:
        import asyncio

        async def waited() -> object:
            return await asyncio.wait_for(said, timeout_s)

        loop = self.loop
        if loop is None or not loop.is_running():
            return asyncio.run(waited())
        future = asyncio.run_coroutine_threadsafe(waited(), loop)
        try:
            return future.result(timeout_s + _LOOP_GRACE_S)
        finally:
            future.cancel()

    def _component(self, check: Check, result: HealthResult, response_s: float) -> Component:
        return Component(
            check=check, result=result, response_s=response_s, checked_at=self._clock.now()
        )


def _is_overdue(kept: _Kept, now_s: float) -> bool:
    return now_s - kept.began_s >= kept.check.timeout_s - _EARLY_S


def _log_change(before: Component | None, after: Component, error: BaseException | None) -> None:
    was_unhealthy = before is not None and before.is_unhealthy
    facts = {"check": after.check.name, "reason": after.result.message}
    if error is not None:
        # Its text may hold what a log should not, such as the address of a database in full.
        logger.debug("health.check_raised", extra=facts, exc_info=error)
    if after.is_unhealthy and not was_unhealthy:
        logger.warning("health.check_failed", extra=facts)
    elif was_unhealthy and not after.is_unhealthy:
        logger.info("health.check_recovered", extra=facts)
