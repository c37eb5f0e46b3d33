"""A guard: policies bound to a name, with the state that they keep for it."""

import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from itertools import takewhile
from types import CoroutineType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies.blocks import Block
from resile.policies.breaker import Breaker
from resile.policies.counting import CountingLayer
from resile.policies.layer import Adopting, AsyncHolding, Holding, Layer, Recording, Resetting
from resile.policies.policy import Policy
from resile.policies.resumed import Resumed
from resile.policies.retry import Retry

if TYPE_CHECKING:
    from resile.policies.attempts import BlockAttempt
    from resile.policies.keyed import Keyed

P = ParamSpec("P")
T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., object])

_COROUTINE = 0x80
"""CO_COROUTINE: what `async def` makes. Others may give something to await, too, or not."""
CHANCE = random.Random()  # noqa: S311 - spreads waits, guards no secret
"""Where jitter comes from unless a test gives its own. Safe to share between threads."""


class Guard(Block):
    """Policies with their state for one name. Safe to share between threads and tasks.

    Args:
        policy: A policy or a pipeline.
        name: Shows in errors, metrics and the dashboard.
        clock: For all that is measured or waited.
        chance: For jitter.
        is_counted: True to count its calls, as a breaker does, if it has none.
    """

    __slots__ = ("chance", "clock", "is_counted", "is_retrying", "layers", "name", "policy")

    def __init__(
        self,
        policy: Policy,
        *,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
        is_counted: bool = False,
    ) -> None:
        self.policy = policy
        self.name = name
        self.clock = clock
        self.chance = chance
        self.is_counted = is_counted
        self.layers: tuple[Layer, ...] = self._layers()
        self.is_retrying = any(isinstance(part, Retry) for part in policy.parts())

    def __call__(self, function: Function, /) -> Function:
        """Guard a function of any form; all that this guard decorates shares its state.

        Raises:
            ConfigError: If it is not callable, or is a class.
        """
        from resile.policies.forms import guarded

        return guarded(self, function)

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function under the policies.

        Raises:
            ConfigError: If it gave a coroutine.
        """
        value = self.run(partial(function, *args, **kwargs))
        if type(value) is CoroutineType:
            from resile.policies.colours import check_called

            check_called(value, function, instead="`await guard.acall(...)`")
        return value

    async def acall(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await a coroutine function under the policies.

        Raises:
            ConfigError: If it gave nothing to await.
        """
        call: Callable[[], Awaitable[T]] = partial(function, *args, **kwargs)
        if not getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE:
            from resile.policies.colours import awaited

            call = partial(awaited, function, *args, **kwargs)
        return await self.arun(call)

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` under every layer, outermost first."""
        return self.chain(call)()

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop."""
        return await self.achain(call)()

    def chain(self, call: Callable[[], T], /) -> Callable[[], T]:
        """Put every layer around `call`, and do nothing yet: it saves a frame."""
        for layer in reversed(self.layers):
            call = partial(layer.run, call)
        return call

    def achain(self, call: Callable[[], Awaitable[T]], /) -> Callable[[], Awaitable[T]]:
        """Do the same for an event loop."""
        for layer in reversed(self.layers):
            call = partial(layer.arun, call)
        return call

    def resume(self, error: Exception, call: Callable[[], T], /) -> T:
        """Go on after a first attempt that was made without the layers, and failed.

        The layers see an attempt that fails with `error`, and then decide as ever. If a breaker is
        not closed any more, this attempt is none of its probes: it is counted, and ends here.
        """
        if self.is_gated:
            self.record(error)
            raise error
        resumed: Callable[[], T] = Resumed(error, call).run
        return self.run(resumed)

    async def aresume(self, error: Exception, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop."""
        if self.is_gated:
            self.record(error)
            raise error
        resumed: Callable[[], Awaitable[T]] = Resumed(error, call).arun
        return await self.arun(resumed)

    @property
    def is_gated(self) -> bool:
        """True if its breaker is not plainly closed."""
        return any(getattr(layer, "gate", False) for layer in self.layers)

    def record(self, error: Exception | None) -> None:
        """Tell the layers that count of an outcome that came after its call had returned."""
        for layer in self.layers:
            if isinstance(layer, Recording):
                layer.record(error)

    def per(self, key: Callable[..., Hashable], *, keys_max: int = 1000) -> "Keyed":
        """Give a guard of guards: one state for each key that `key` finds in the arguments.

        Args:
            key: Takes the arguments of a call.
            keys_max: How many are kept, 1..1000000; the least recently used goes.

        Raises:
            ConfigError: If key is not callable, or keys_max is out of range.
        """
        from resile.policies.keyed import Keyed

        return Keyed(self, key, keys_max=keys_max)

    def reset(self, *, why: str = "reset by hand") -> None:
        """Forget what was counted: its breaker closes, its budget of retries is full again.

        Args:
            why: The reason, which the signal of a breaker that closes tells.
        """
        for layer in self.layers:
            if isinstance(layer, Resetting):
                layer.reset(why=why)

    def twin(self, name: str) -> "Guard":
        """Make a guard of the same policies with a state of its own."""
        return Guard(
            self.policy,
            name=name,
            clock=self.clock,
            chance=self.chance,
            is_counted=self.is_counted,
        )

    def at(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> "Guard":
        """Give the guard for the arguments of a call: itself."""
        return self

    def hold(self) -> ExitStack:
        """Guard a block that runs once: enter what it gives, or write `with guard:`.

        Raises:
            ConfigError: If a layer cannot guard a block, as a retry cannot run it again.
        """
        return hold_all(self.name, self.layers)

    def ahold(self) -> AbstractAsyncContextManager[object]:
        """Guard a block of a coroutine, and wait before it where a layer says so; once.

        Raises:
            ConfigError: If a layer cannot guard a block.
        """
        return ahold_all(self.name, self.layers)

    def __iter__(self) -> "Iterator[BlockAttempt]":
        """Give attempts at a block: `for attempt in guard:`, and `with attempt:` inside."""
        from resile.policies.attempts import attempts

        return attempts(self)

    def __aiter__(self) -> "AsyncIterator[BlockAttempt]":
        """Give attempts at a block of a coroutine: `async for`, and `with attempt:` inside."""
        from resile.policies.attempts import aattempts

        return aattempts(self)

    def change(self, policy: Policy) -> None:
        """Take other policies; what they share with those before keeps its state.

        All that is decorated follows, and the guards of keys. Calls that run go on as they began.
        Safe while others call; two threads must not change one guard at once.
        """
        from resile.policies.keyed import keyed_guards
        from resile.policies.relinking import relink

        self.policy = policy
        self.layers = self._layers(self.layers)
        self.is_retrying = any(isinstance(part, Retry) for part in policy.parts())
        relink(self)
        for keyed in keyed_guards((self,)):
            keyed.change(policy)

    def _layers(self, before: Iterable[Layer] = ()) -> tuple[Layer, ...]:
        """Make the layers, or take those of before that can adopt the options of a part."""
        parts = self.policy.parts()
        kept: list[Layer] = list(before)
        layers = [_adopted(kept, part) or self._layer(part) for part in parts]
        if self.is_counted and not any(isinstance(part, Breaker) for part in parts):
            outer = takewhile(lambda part: part.position < Breaker.position, parts)
            counting = [layer for layer in before if isinstance(layer, CountingLayer)]
            layers.insert(len(tuple(outer)), *(counting or [CountingLayer(self.clock)]))
        return tuple(layers)

    def _layer(self, part: Policy) -> Layer:
        return part.layer(self.name, self.clock, self.chance)

    def __repr__(self) -> str:
        return f"<Guard {self.name!r} {self.policy!r}>"


def _adopted(layers: list[Layer], part: Policy) -> Layer | None:
    """Take the first layer that adopts the options of a policy out of a list; None if none does."""
    for layer in layers:
        if isinstance(layer, Adopting) and layer.adopt(part):
            layers.remove(layer)
            return layer
    return None


def hold_all(name: str, layers: tuple[Layer, ...]) -> ExitStack:
    """Enter every layer around a block, outermost first; nothing is held if one refuses.

    Raises:
        ConfigError: If one cannot guard a block.
    """
    with ExitStack() as entered:
        for layer in _holding(name, layers):
            entered.enter_context(layer.hold())
        return entered.pop_all()


@asynccontextmanager
async def ahold_all(name: str, layers: tuple[Layer, ...]) -> AsyncIterator[None]:
    """Do the same in a coroutine; what has to wait for a permit or a turn suspends the task.

    Raises:
        ConfigError: If one cannot guard a block.
    """
    async with AsyncExitStack() as entered:
        for layer in _holding(name, layers):
            if isinstance(layer, AsyncHolding):
                await entered.enter_async_context(layer.ahold())
            else:
                entered.enter_context(layer.hold())
        yield


def _holding(name: str, layers: tuple[Layer, ...]) -> list[Holding]:
    """Give the layers as what they hold a block by, if all of them can."""
    holding: list[Holding] = []
    for layer in layers:
        if not isinstance(layer, Holding):
            raise ConfigError(
                f"{type(layer).__name__.removesuffix('Layer')} cannot guard a block of {name!r}",
                hint="decorate a function, or use `for attempt in` for a retry",
            )
        holding.append(layer)
    return holding


def name_of(function: object) -> str:
    """Tell the full name of a function, for the guard that belongs to it."""
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f"{module}.{name}".lstrip(".")
