"""Chaos: latency, errors and wrong results on purpose, right around the guarded function."""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar, cast

from resile.core.clock import Clock
from resile.policies._async import asleep
from resile.policies.admission import is_on_loop
from resile.policies.layer import Inline
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.resumed import is_over

T = TypeVar("T")

SWITCH: Final = "RESILE_CHAOS"
"""The environment variable that switches every Chaos policy of the process on, if it is `1`."""


class _Untouched:
    """The type of `UNTOUCHED`."""

    def __repr__(self) -> str:
        return "UNTOUCHED"


UNTOUCHED: Final = _Untouched()
"""The result stays as it is; None would be a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos(Policy):
    """Make calls slow, failing or wrong on purpose; does nothing until it is switched on.

    It is on in processes whose environment has `RESILE_CHAOS=1` when the guard is made, and inside
    of `with resile.Chaos.switched_on():` or `with resile.Chaos(...).injected():`. Of one call, the latency comes first, then the error, and
    the result only if neither raised; the function is not called if the error or the result is
    injected.

    Args:
        latency: Added before the call, 0..1h. Default 0.
        latency_rate: Share of calls that get it, 0..1. Default 1.
        error: Raised in place of the call: an instance, or a class that is made anew each time.
            Default ConnectionError.
        error_rate: Share of calls that get it, 0..1. Default 0.
        result: Given in place of the call. Default: the call's own.
        result_rate: Share of calls that get it, 0..1. Default 1.
    """

    position: ClassVar[int] = 80
    latency: float | str = 0.0
    latency_rate: float = 1.0
    error: Exception | type[Exception] = ConnectionError
    error_rate: float = 0.0
    result: object = UNTOUCHED
    result_rate: float = 1.0

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.seconds("latency", low=0, high=3600)
        options.number("latency_rate", "error_rate", "result_rate", low=0, high=1)
        kind = self.error if isinstance(self.error, type) else type(self.error)
        if not issubclass(kind, Exception):
            options.refuse("error", "takes an Exception or a class of them")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "ChaosLayer":
        """Make the injection for one guarded name."""
        return ChaosLayer(
            self, name, clock, chance, is_switched_on=os.environ.get(SWITCH, "") == "1"
        )

    @staticmethod
    def switched_on(name: str | None = None) -> AbstractContextManager[None]:
        """Switch Chaos policies on for all calls inside: each injects what it says itself.

        It reaches guards that have a Chaos policy. Tasks that are started inside inherit it; threads
        do not.

        Args:
            name: The guard that is meant. Default: all.
        """
        return _injecting(name, None)

    def injected(self, name: str | None = None) -> AbstractContextManager[None]:
        """Inject this for all calls inside, in place of what the policies of the guards say.

        It reaches the same guards as `switched_on`.

        Args:
            name: The guard that is meant. Default: all.
        """
        return _injecting(name, self)

    def strike(self, chance: random.Random) -> "Strike":
        """Decide what happens to one call."""
        error = None
        if chance.random() < self.error_rate:
            error = self.error if isinstance(self.error, Exception) else self.error(_SAID)
        return Strike(
            latency_s=float(self.latency) if chance.random() < self.latency_rate else 0.0,
            error=error,
            result=self.result if chance.random() < self.result_rate else UNTOUCHED,
        )


_SAID: Final = "injected by resile's Chaos policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What happens to one call.

    Args:
        latency_s: Before anything else.
        error: Raised in its place; None for none.
        result: Given in its place, unless it is `UNTOUCHED`.
    """

    latency_s: float
    error: Exception | None
    result: object


_INJECTED: ContextVar[tuple[tuple[str | None, Chaos | None], ...]] = ContextVar(
    "resile_chaos", default=()
)
"""What is injected around, innermost last: the name or None for all, and the policy or None for each
guard's own."""


@contextmanager
def _injecting(name: str | None, policy: Chaos | None) -> Iterator[None]:
    token = _INJECTED.set((*_INJECTED.get(), (name, policy)))
    try:
        yield
    finally:
        _INJECTED.reset(token)


class ChaosLayer:
    """The injection under one name. Safe to share between threads and tasks.

    Args:
        policy: What is injected.
        name: The guard's name.
        clock: For the latency.
        chance: For the shares.
        is_switched_on: By the environment.
    """

    def __init__(
        self,
        policy: Chaos,
        name: str,
        clock: Clock,
        chance: random.Random,
        *,
        is_switched_on: bool,
    ) -> None:
        self._policy = policy
        self._name = name
        self._clock = clock
        self._chance = chance
        self._is_switched_on = is_switched_on

    @property
    def gate(self) -> bool:
        """True while anything may be injected."""
        return self._is_switched_on or bool(_INJECTED.get())

    def inline(self) -> Inline:
        """Give no lines, but a look whether anything may be injected."""
        return Inline(kind="chaos", names={"_resile_chaos": self}, gate="_resile_chaos.gate")

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, or what is injected in its place."""
        strike = None if is_over(call) else self._strike()
        if strike is None:
            return call()
        if strike.latency_s:
            self._clock.sleep(strike.latency_s)
        return call() if _is_harmless(strike) else cast("T", strike.result)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call`, or what is injected in its place, without blocking the loop."""
        strike = None if is_over(call) else self._strike()
        if strike is None:
            return await call()
        if strike.latency_s:
            await asleep(self._clock, strike.latency_s)
        return await call() if _is_harmless(strike) else cast("T", strike.result)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make a block late or fail before it begins; it has no result to change.

        On an event loop it is not made late, as that would block all others.
        """
        strike = self._strike()
        if strike is not None:
            if strike.latency_s and not is_on_loop():
                self._clock.sleep(strike.latency_s)
            _is_harmless(strike)
        yield

    @asynccontextmanager
    async def ahold(self) -> AsyncIterator[None]:
        """Do the same, and be late without blocking the loop."""
        strike = self._strike()
        if strike is not None:
            if strike.latency_s:
                await asleep(self._clock, strike.latency_s)
            _is_harmless(strike)
        yield

    def _strike(self) -> Strike | None:
        """Decide what happens to this call; None if chaos is off."""
        for name, injected in reversed(_INJECTED.get()):
            if name is None or name == self._name:
                return (injected or self._policy).strike(self._chance)
        return self._policy.strike(self._chance) if self._is_switched_on else None


def _is_harmless(strike: Strike) -> bool:
    """Tell whether the call is really made.

    Raises:
        Exception: What is injected in its place.
    """
    if strike.error is not None:
        raise strike.error.with_traceback(None)
    return strike.result is UNTOUCHED
