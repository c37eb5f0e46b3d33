"""What every policy is: a frozen value that guards functions, calls and blocks.

A policy has no state. What it counts lives in a guard (`resile.policies.bound`): a decorated
function has one of its own, `resile.guard` keeps one for each name, and `call`, `acall`, `with` and
`for` use one that belongs to the policy object.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar

from resile.core.clock import Clock
from resile.policies.layer import Layer
from resile.policies.options import Options

if TYPE_CHECKING:
    from resile.policies.attempts import BlockAttempt
    from resile.policies.bound import Guard
    from resile.policies.pipeline import Pipeline

P = ParamSpec("P")
T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., object])


class Policy:
    """The base of all policies. Safe to share between threads, tasks and guarded functions."""

    __slots__ = ("_own",)
    is_single: ClassVar[bool] = False
    """True if a pipeline may have only one of its kind."""
    gives_results: ClassVar[bool] = False
    """True if it answers with results of its own, which cannot stand in for a generator's items."""

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: If some are wrong; all of them are told.
        """
        options = Options(self)
        self.check_options(options)
        self.check_together(options)
        options.check()

    def check_options(self, options: Options) -> None:
        """Check each option by itself: its kind and its range."""

    def check_together(self, options: Options) -> None:
        """Check options beside each other; some may be out of range, unless `is_clean`."""

    @property
    def is_for_tasks(self) -> bool:
        """True if it refuses every call of a plain function."""
        return False

    @property
    def position(self) -> int:
        """Where it stands in a pipeline; outermost first. A class attribute in most policies."""
        raise NotImplementedError

    def layer(self, name: str, clock: Clock, chance: random.Random) -> Layer:
        """Make the state of this policy for one guarded name.

        Args:
            name: The guard's name; it shows in errors.
            clock: For all that is measured or waited.
            chance: For jitter and the like.
        """
        raise NotImplementedError

    def parts(self) -> tuple["Policy", ...]:
        """Give what it adds to a pipeline: itself, unless it is made of several."""
        return (self,)

    def __add__(self, other: "Policy") -> "Pipeline":
        """Compose two policies in the canonical order, whichever is written first."""
        from resile.policies.pipeline import compose

        return compose(self, other)

    def __call__(self, function: Function, /) -> Function:
        """Guard a function, method, coroutine function, generator or async generator.

        The result has the same signature and keeps its own state.

        Raises:
            ConfigError: If it is not callable, or is a class, or a plain function or generator that
                a `Timeout` has no way to stop. A guard with a name tells that at the first call, as
                a file may still say the way.
        """
        from resile.policies.bound import Guard, name_of
        from resile.policies.forms import check_stoppable

        check_stoppable(self, function)
        return Guard(self, name=name_of(function))(function)

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function under this policy, with the state of this policy object."""
        return self.own().call(function, *args, **kwargs)

    async def acall(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await a coroutine function under this policy, with the state of this policy object."""
        return await self.own().acall(function, *args, **kwargs)

    def __enter__(self) -> None:
        """Guard a block, with the state of this policy object.

        Raises:
            ConfigError: If a part of it cannot guard a block, as a retry cannot run it again.
        """
        self.own().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self.own().__exit__(kind, error, trace)

    async def __aenter__(self) -> None:
        """Guard a block of a coroutine; what has to wait before it does not block the event loop.

        Raises:
            ConfigError: If a part of it cannot guard a block.
        """
        await self.own().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        await self.own().__aexit__(kind, error, trace)

    def named(self, name: str) -> "Guard":
        """Give the guard of a name with this policy, as `resile.guard` does.

        Raises:
            ConfigError: If the name is taken with other options.
        """
        from resile.policies.registry import REGISTRY

        return REGISTRY.guard(name, self)

    def __iter__(self) -> "Iterator[BlockAttempt]":
        """Give attempts at a block: `for attempt in retry:`, and `with attempt:` inside."""
        return iter(self.own())

    def __aiter__(self) -> "AsyncIterator[BlockAttempt]":
        """Give attempts at a block of a coroutine: `async for`, and `with attempt:` inside."""
        return aiter(self.own())

    def own(self) -> "Guard":
        """Give the guard that belongs to this very object."""
        try:
            return self._own
        except AttributeError:
            from resile.policies.bound import Guard

            object.__setattr__(self, "_own", Guard(self, name=type(self).__name__.lower()))
            return self._own

    if TYPE_CHECKING:
        _own: Guard
