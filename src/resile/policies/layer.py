"""The port between policies: one layer of a guarded call, which runs what lies below it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from resile.policies.policy import Policy

T = TypeVar("T")


class Layer(Protocol):
    """The state of one policy under one guarded name. Safe to share between threads and tasks.

    `call` does the rest of the pipeline, the guarded function at its end. A layer may run it no
    time (rejected, cached), once, or again and again (retry, hedge). It lets CancelledError,
    KeyboardInterrupt, SystemExit and GeneratorExit pass at once, and gives back what it has taken
    (a permit, a place in a queue) in `finally`.
    """

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` under this policy; give its result or raise its error."""
        ...

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do the same on an event loop, which is never blocked."""
        ...


@runtime_checkable
class Holding(Protocol):
    """What a layer adds if it can guard a block of code, which runs exactly once."""

    def hold(self) -> AbstractContextManager[object]:
        """Give a new context manager: it admits or rejects on entry, and judges on exit."""
        ...


@runtime_checkable
class AsyncHolding(Holding, Protocol):
    """What a layer adds if it may wait before a block: by `hold` it never does so on a loop."""

    def ahold(self) -> AbstractAsyncContextManager[object]:
        """Give the same for `async with`, which suspends the task while it waits."""
        ...


@runtime_checkable
class Recording(Protocol):
    """What a layer adds if it counts failures that come after its call has returned."""

    def record(self, error: Exception | None) -> None:
        """Count one more outcome: an error, or None for a success."""
        ...


@runtime_checkable
class Resetting(Protocol):
    """What a layer adds if it remembers what came of calls."""

    def reset(self, *, why: str = ...) -> None:
        """Forget it; `why` is told by what tells of a change."""
        ...


class Measure(NamedTuple):
    """A number that a layer shows.

    Args:
        family: Which of the families in `resile.policies.metrics`.
        value: It may be added to that of other guards: a count, or how many there are now.
        label: Which of several in the family; empty where there is one.
    """

    family: str
    value: float
    label: str = ""


@runtime_checkable
class Measuring(Protocol):
    """What a layer adds if it has numbers to show."""

    def measures(self) -> Iterable[Measure]:
        """Give the numbers as they are now."""
        ...


def measures_of(layers: Iterable[Layer]) -> tuple[Measure, ...]:
    """Give the numbers of all layers that have some."""
    measuring = (layer for layer in layers if isinstance(layer, Measuring))
    return tuple(measure for layer in measuring for measure in layer.measures())


@runtime_checkable
class Adopting(Protocol):
    """What a layer adds if it can take other options and keep its state."""

    def adopt(self, policy: "Policy", /) -> bool:
        """Take the options of a policy; False, and nothing is done, if it is of another kind."""
        ...


class Around(NamedTuple):
    """Lines around a call, in a generated wrapper. Empty for none.

    Args:
        begin: Before it.
        leave: After it, whatever came of it.
        fail: After any error, `_resile_broken`, and before `leave`; it may raise another one.
        done: After a call that went well, and before `leave`.
    """

    begin: str
    leave: str = ""
    fail: str = ""
    done: str = ""


NOTHING_AROUND: Final = Around("")


class Inline(NamedTuple):
    """The success path of a layer as lines of Python, for the generated wrapper.

    What the lines do has to equal what `run` does for a call that goes well. All names in them, also
    their own variables, begin with `_resile_`, so that no parameter of a function is hidden.

    Args:
        kind: One word for tracebacks.
        names: What the lines use from outside.
        gate: An expression; while it is true the call goes the ordinary way. Empty for none.
        rejects: Lines that reject at once behind the gate, before the ordinary way is tried.
        before: Lines before the call.
        after: Lines after a call that went well.
        takes: An expression that takes what the call needs, such as a permit; if it is false, the
            call goes the ordinary way. Empty for none.
        gives: Lines that give it back, harmless if it was not taken. Without them it cannot be.
        around: Lines around the call of a plain function; None if these have to go the ordinary way.
        async_around: Lines around the call of a coroutine function.
    """

    kind: str
    names: Mapping[str, object]
    gate: str = ""
    rejects: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    takes: str = ""
    gives: tuple[str, ...] = ()
    around: Around | None = NOTHING_AROUND
    async_around: Around = NOTHING_AROUND


@runtime_checkable
class Inlining(Protocol):
    """What a layer adds if its success path may be generated."""

    def inline(self) -> Inline | None:
        """Give the lines, or None if this one has to go the ordinary way."""
        ...
