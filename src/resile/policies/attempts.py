"""Attempts at a block of code: `for attempt in retry:`, and `with attempt:` inside.

The block ends the loop by going well, and by an error that is not to be tried again. A `break` ends
it too. What else the guard has, such as a breaker, guards the block in each attempt.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Self

from resile.errors import ConfigError
from resile.policies import _async
from resile.policies.bound import ahold_all, hold_all
from resile.policies.context import RETRY_OWNER
from resile.policies.retrying import RetryLayer, RetryRun

if TYPE_CHECKING:
    from resile.policies.bound import Guard


class BlockAttempt:
    """One attempt at a block, as a context manager. Not thread-safe.

    Args:
        guard: Whose layers below the retry guard the block.
        run: The attempts that this one belongs to.
        number: 1 for the first.
    """

    def __init__(self, guard: "Guard", run: RetryRun, number: int) -> None:
        self._guard = guard
        self._run = run
        self._held = ExitStack()
        self._aheld = AsyncExitStack()
        self.number = number
        self.wait_s: float | None = None
        """Seconds until the next attempt; None if there is none."""

    def __enter__(self) -> Self:
        """Begin the attempt; if a layer below rejects it, that error ends the loop.

        While it runs, retries in the block try once: this loop owns the attempts.
        """
        self._held = hold_all(self._guard.name, self._guard.layers[1:])
        self._token = RETRY_OWNER.set(True)
        return self

    async def __aenter__(self) -> Self:
        """Do the same; if a layer below has to wait for a permit or a turn, the task does."""
        async with AsyncExitStack() as entered:
            layers = self._guard.layers[1:]
            await entered.enter_async_context(ahold_all(self._guard.name, layers))
            self._aheld = entered.pop_all()
        self._token = RETRY_OWNER.set(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        RETRY_OWNER.reset(self._token)
        try:
            self._held.__exit__(kind, error, None if error is None else error.__traceback__)
        except Exception as other:
            if self._goes_on(other):
                return True
            raise
        return self._goes_on(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        RETRY_OWNER.reset(self._token)
        try:
            await self._aheld.__aexit__(kind, error, None if error is None else error.__traceback__)
        except Exception as other:
            if self._goes_on(other):
                return True
            raise
        return self._goes_on(error)

    def _goes_on(self, error: BaseException | None) -> bool:
        """Judge the attempt by its error, or by what a layer made of that, such as a time-out."""
        if error is None:
            self.wait_s = self._run.returned(None)
        elif isinstance(error, Exception):
            self.wait_s = self._run.failed(error)
            if self.wait_s is None and (wrapped := self._run.exhausted()) is not None:
                raise wrapped from error
        return self.wait_s is not None


def attempts(guard: "Guard") -> Iterator[BlockAttempt]:
    """Give attempts until one goes well.

    Raises:
        ConfigError: If the outermost policy is no retry.
    """
    layer = retry_of(guard)
    run = RetryRun(layer, is_block=True)
    number = 0
    while True:
        number += 1
        attempt = BlockAttempt(guard, run, number)
        yield attempt
        if attempt.wait_s is None:
            return
        layer.clock.sleep(attempt.wait_s)


async def aattempts(guard: "Guard") -> AsyncIterator[BlockAttempt]:
    """Give the same on an event loop.

    Raises:
        ConfigError: If the outermost policy is no retry.
    """
    layer = retry_of(guard)
    run = RetryRun(layer, is_block=True)
    number = 0
    while True:
        number += 1
        attempt = BlockAttempt(guard, run, number)
        yield attempt
        if attempt.wait_s is None:
            return
        await _async.asleep(layer.clock, attempt.wait_s)


def retry_of(guard: "Guard") -> RetryLayer:
    """Give the retry that makes the attempts of a block.

    Raises:
        ConfigError: If the outermost policy is no retry.
    """
    outermost = guard.layers[0]
    if not isinstance(outermost, RetryLayer):
        raise ConfigError(
            f"{guard.name!r} cannot make attempts at a block: its outermost policy is no retry",
            hint="use `with`, which runs the block once, or put a resile.Retry() around",
        )
    return outermost
