"""Fallback: what to answer when a call has failed, one step after the other."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, cast

from resile.core.clock import Clock
from resile.policies.arguments import guarded_call
from resile.policies.layer import Measure
from resile.policies.options import Options
from resile.policies.policy import Policy

T = TypeVar("T")

_VARIADIC: Final = 0x04 | 0x08
"""Flags of code objects with `*args` or `**kwargs`, as `inspect` names them."""
_NOTES_MAX: Final = 20
"""Notes on one error: one that is raised again and again must not grow for ever."""


@dataclass(frozen=True, slots=True, init=False)
class Fallback(Policy):
    """Answer with something else when a call has failed.

    Steps are tried in their order; one that raises gives way to the next. If all have failed, the
    original error is raised, with a note for each of the others.

    A step is a value, which is the answer, or a function that gives it. A function is called with
    the arguments of the guarded one; one that takes no arguments, and a class, without any. If it
    has a keyword-only parameter `error`, it gets what was raised. Coroutine functions are awaited
    under async calls. To answer with a function, give a lambda that returns it.

    Args:
        steps: At least one.
        on: Errors that lead to the fallback: a class, or several. Default: every Exception.
            CancelledError, KeyboardInterrupt, SystemExit and GeneratorExit always pass.
    """

    position: ClassVar[int] = 10
    gives_results: ClassVar[bool] = True
    steps: tuple[object, ...]
    on: type[Exception] | tuple[type[Exception], ...]

    def __init__(
        self, *steps: object, on: type[Exception] | tuple[type[Exception], ...] = Exception
    ) -> None:
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "on", on)
        self.__post_init__()

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.errors("on")
        if not self.steps:
            options.refuse("steps", "needs a value or a function, such as Fallback(None)")

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "FallbackLayer":
        """Make the chain for one guarded name; it has no state."""
        del name, clock, chance
        return FallbackLayer(self)


class FallbackLayer:
    """The steps of one policy. Safe to share between threads and tasks.

    Args:
        policy: Its steps.
    """

    def __init__(self, policy: Fallback) -> None:
        self._on = cast("tuple[type[Exception], ...]", policy.on)
        self._steps = [_Step(step) for step in policy.steps]
        self._used = 0

    def measures(self) -> tuple[Measure, ...]:
        """Give how many calls failed and came here. Of two in one instant it may miss one."""
        return (Measure("fallbacks", self._used),)

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call`, and if it fails what comes next."""
        try:
            return call()
        except self._on as error:
            self._used += 1
            failures = []
            for step in self._steps:
                try:
                    return cast("T", _plain(step.answer(call, error)))
                except Exception as failure:  # noqa: BLE001 - noted below
                    failures.append((step, failure))
            _note(error, failures)
            raise

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call`, and if it fails what comes next; steps may be coroutine functions."""
        try:
            return await call()
        except self._on as error:
            self._used += 1
            failures = []
            for step in self._steps:
                try:
                    answer = step.answer(call, error)
                    return cast("T", await answer if isinstance(answer, Awaitable) else answer)
                except Exception as failure:  # noqa: BLE001 - noted below
                    failures.append((step, failure))
            _note(error, failures)
            raise


class _Step:
    """One step, and what it wants to be called with.

    Args:
        step: A value or a function.
    """

    def __init__(self, step: object) -> None:
        self._step = step
        function = getattr(step, "__func__", step)
        code = getattr(function, "__code__", None)
        count = 0 if code is None else code.co_argcount + code.co_kwonlyargcount
        names = () if code is None else code.co_varnames[code.co_argcount : count]
        self._wants_error = "error" in names
        is_bound = function is not step
        self._wants_nothing = isinstance(step, type) or (
            code is not None
            and not code.co_flags & _VARIADIC
            and count - is_bound - self._wants_error == 0
        )

    def answer(self, call: Callable[[], object], error: Exception) -> object:
        """Give the answer, or what is to be awaited for it."""
        if not callable(self._step):
            return self._step
        given: dict[str, Any] = {"error": error} if self._wants_error else {}
        if self._wants_nothing:
            return self._step(**given)
        guarded = guarded_call(call)
        return self._step(*guarded.args, **guarded.keywords, **given)

    def __str__(self) -> str:
        return str(getattr(self._step, "__qualname__", repr(self._step)))


def _plain(answer: object) -> object:
    """Refuse a coroutine, which a plain call cannot await."""
    if isinstance(answer, Awaitable):
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        raise TypeError("a coroutine function cannot be the fallback of a plain function")
    return answer


def _note(error: Exception, failures: list[tuple[_Step, Exception]]) -> None:
    """Add what came of each step to the original error, once."""
    known = getattr(error, "__notes__", [])
    for number, (step, failure) in enumerate(failures, 1):
        note = f"fallback {number} ({step}) failed too: {failure!r}"
        if note not in known and len(known) < _NOTES_MAX:
            error.add_note(note)
            known = error.__notes__
