"""What a test makes of calls: outcomes that are forced, and a count of the attempts."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any, Final, NamedTuple, TypeVar, cast

from resile.testing.virtual import VirtualClock

T = TypeVar("T")

UNTOUCHED: Final = object()
"""The result is the function's own; None would be a result."""
_TIMES_MAX: Final = 100_000
"""Outcomes that may wait in one script; more are a mistake in the test."""


class Forced(NamedTuple):
    """What happens to one attempt.

    Args:
        latency_s: Before anything else.
        error: Raised in place of the call; None for none.
        result: Given in place of the call, unless it is `UNTOUCHED`.
    """

    latency_s: float = 0.0
    error: BaseException | type[BaseException] | None = None
    result: object = UNTOUCHED


class Script:
    """The outcomes that wait for the attempts of one guard. Not thread-safe.

    Args:
        virtual: For latencies.
    """

    def __init__(self, virtual: VirtualClock) -> None:
        self._virtual = virtual
        self._waiting: deque[Forced] = deque()
        self._always: Forced | None = None
        self.attempts = 0
        """Attempts that came through the policies, whether they were forced or not."""

    def add(self, forced: Forced, times: int | None) -> None:
        """Force the next attempts to an outcome; all that come after the others, if None."""
        if times is None:
            self._always = forced
        elif not 0 <= times <= _TIMES_MAX - len(self._waiting):
            raise AssertionError(f"times: {times} is not in 0..{_TIMES_MAX}")
        else:
            self._waiting.extend(repeat(forced, times))

    def clear(self) -> None:
        """Force nothing any more."""
        self._waiting.clear()
        self._always = None

    def run(self, call: Callable[[], T]) -> T:
        """Make one attempt."""
        forced = self._next()
        if forced is None:
            return call()
        if forced.latency_s:
            self._virtual.sleep(forced.latency_s)
        return call() if _is_real(forced) else cast("T", forced.result)

    async def arun(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one attempt on an event loop."""
        forced = self._next()
        if forced is None:
            return await call()
        if forced.latency_s:
            await self._virtual.asleep(forced.latency_s)
        return await call() if _is_real(forced) else cast("T", forced.result)

    def _next(self) -> Forced | None:
        self.attempts += 1
        return self._waiting.popleft() if self._waiting else self._always


def _is_real(forced: Forced) -> bool:
    """Tell whether the call is really made.

    Raises:
        BaseException: What is forced in its place.
    """
    if forced.error is None:
        return forced.result is UNTOUCHED
    error = forced.error
    raise error("forced by a test") if isinstance(error, type) else error.with_traceback(None)


class ScriptLayer:
    """The innermost layer of a guard while it is tested.

    Args:
        script: What it does to attempts.
    """

    def __init__(self, script: Script) -> None:
        self._script = script

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, or what is forced in its place."""
        return self._script.run(call)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call`, or what is forced in its place."""
        return await self._script.arun(call)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make a block late, or fail before it begins; it has no result."""
        self._script.run(lambda: None)
        yield


class Stand:
    """Stands in a generated wrapper for the guarded function.

    Args:
        function: The guarded function.
        script: What is done to its attempts.
        is_async: True for a coroutine function.
    """

    def __init__(self, function: Callable[..., Any], script: Script, *, is_async: bool) -> None:
        self._function = function
        self._script = script
        self._is_async = is_async

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Make one attempt; an awaitable if the function gives one."""
        run = self._script.arun if self._is_async else self._script.run
        return run(lambda: self._function(*args, **kwargs))
