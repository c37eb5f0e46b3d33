"""Guard functions of every form: plain, coroutine, generator and async generator; methods too.

A generator is guarded until it has given its first item: then it may be tried again from the
beginning. What fails later is counted by the policies that count, and not tried again, because items
have been handed out already.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from enum import Enum, auto
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar, cast

from resile.errors import ConfigError
from resile.policies.compiled import generated

if TYPE_CHECKING:
    from resile.policies.bound import Guard
    from resile.policies.keyed import Keyed
    from resile.policies.policy import Policy

Function = TypeVar("Function", bound=Callable[..., object])

_GENERATOR = 0x20
_COROUTINE = 0x80 | 0x100
_ASYNC_GENERATOR = 0x200
"""Flags of code objects, as `inspect` names them; `inspect` itself would double our import."""
_END = object()
"""Stands for the item that a generator which ends at once does not give."""


class Form(Enum):
    """What a function gives when it is called."""

    PLAIN = auto()
    COROUTINE = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


def form_of(function: object) -> Form:
    """Tell what a callable gives: a partial and a bound method as their function, else `__call__`."""
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    flags = getattr(code, "co_flags", 0)
    if flags & _ASYNC_GENERATOR:
        return Form.ASYNC_GENERATOR
    if flags & _COROUTINE:
        return Form.COROUTINE
    return Form.GENERATOR if flags & _GENERATOR else Form.PLAIN


def check_callable(function: object) -> None:
    """Refuse what cannot be guarded as a function.

    Raises:
        ConfigError: If it is a class, a classmethod or a staticmethod, or not callable.
    """
    if isinstance(function, classmethod | staticmethod):
        raise ConfigError(
            f"a guard cannot stand above @{type(function).__name__}",
            hint=f"write @{type(function).__name__} first, and the guard below it",
        )
    if isinstance(function, type):
        raise ConfigError(
            f"{function.__name__} is a class, and a guard would hide it",
            hint="guard its methods, or a function that makes it",
        )
    if not callable(function):
        raise ConfigError(
            f"{function!r} is not callable, so there is nothing to guard",
            hint="guard a function: @guard above it, or guard(function)",
        )


def check_stream(guard: "Guard | Keyed", function: object) -> None:
    """Refuse to guard a generator by policies that answer with results.

    Raises:
        ConfigError: If the guard has one.
    """
    for part in guard.policy.parts():
        if part.gives_results:
            name = type(part).__name__
            raise ConfigError(
                f"{name} cannot guard the generator {getattr(function, '__qualname__', function)}: "
                "what it answers with is no generator",
                hint=f"guard a function that gives a list, or take {name} out of {guard.name!r}",
            )


def check_stoppable(policy: "Policy", function: object) -> None:
    """Refuse to decorate a plain function or generator by a policy that would refuse its calls.

    Raises:
        ConfigError: If a time-out does not say how to stop it, or it cannot be guarded at all.
    """
    check_callable(function)
    is_awaited = form_of(function) in (Form.COROUTINE, Form.ASYNC_GENERATOR)
    if not is_awaited and any(part.is_for_tasks for part in policy.parts()):
        from resile.policies.timeout import unstoppable

        raise unstoppable(getattr(function, "__qualname__", repr(function)), "a plain function")


def guarded(guard: "Guard | Keyed", function: Function) -> Function:
    """Wrap a function in a guard; the wrapper has its name, docstring and signature.

    A time-out that says no way to stop a plain function is refused by its calls, and not here: a
    file may still say the way.

    Raises:
        ConfigError: If it cannot be guarded.
    """
    check_callable(function)
    form = form_of(function)
    if form in (Form.GENERATOR, Form.ASYNC_GENERATOR):
        check_stream(guard, function)
    wrapper: Callable[..., object] | None = None
    if form in (Form.PLAIN, Form.COROUTINE):
        wrapper = generated(guard, function, is_async=form is Form.COROUTINE)
    if wrapper is None:
        wrapper = ordinary(guard, function)
    return cast("Function", update_wrapper(wrapper, function))


def ordinary(guard: "Guard | Keyed", function: Callable[..., object]) -> Callable[..., object]:
    """Wrap a function in what looks at its guard in each call; slower than what is generated."""
    return _WRAPPERS[form_of(function)](guard, function)


def _plain(guard: "Guard | Keyed", function: Callable[..., object]) -> Callable[..., object]:
    def wrapper(*args: object, **kwargs: object) -> object:
        return guard.at(args, kwargs).chain(partial(function, *args, **kwargs))()

    return wrapper


def _coroutine(
    guard: "Guard | Keyed", function: Callable[..., Awaitable[object]]
) -> Callable[..., Awaitable[object]]:
    async def wrapper(*args: object, **kwargs: object) -> object:
        return await guard.at(args, kwargs).achain(partial(function, *args, **kwargs))()

    return wrapper


def _generator(
    guard: "Guard | Keyed", function: Callable[..., Generator[object, object, object]]
) -> Callable[..., Generator[object, object, object]]:
    def wrapper(*args: object, **kwargs: object) -> Generator[object, object, object]:
        chosen = guard.at(args, kwargs)
        check_stream(chosen, function)
        inner, item = chosen.run(partial(_begin, partial(function, *args, **kwargs)))
        if inner is None:
            return item
        return (yield from _continue(chosen, inner, item))

    return wrapper


def _begin(
    make: Callable[[], Generator[object, object, object]],
) -> tuple[Generator[object, object, object] | None, object]:
    """Start a generator; give it with its first item, or None with what it returned."""
    inner = make()
    try:
        return inner, next(inner)
    except StopIteration as stop:
        return None, stop.value


def _continue(
    guard: "Guard", inner: Generator[object, object, object], item: object
) -> Generator[object, object, object]:
    """Hand items out and what is sent or thrown in, as `yield from` does; count a late failure."""
    while True:
        try:
            sent = yield item
        except GeneratorExit:
            inner.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to the generator, as any other
            step: Callable[[], object] = partial(inner.throw, error)
        else:
            step = partial(inner.send, sent)
        try:
            item = step()
        except StopIteration as stop:
            return stop.value
        except Exception as error:
            guard.record(error)
            raise


def _async_generator(
    guard: "Guard | Keyed", function: Callable[..., AsyncGenerator[object, object]]
) -> Callable[..., AsyncGenerator[object, object]]:
    async def wrapper(*args: object, **kwargs: object) -> AsyncGenerator[object, object]:
        chosen = guard.at(args, kwargs)
        check_stream(chosen, function)
        inner, item = await chosen.arun(partial(_abegin, partial(function, *args, **kwargs)))
        if item is _END:
            return
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - it belongs to the generator
                step: Callable[[], Awaitable[object]] = partial(inner.athrow, error)
            else:
                step = partial(inner.asend, sent)
            try:
                item = await step()
            except StopAsyncIteration:
                return
            except Exception as error:
                chosen.record(error)
                raise

    return wrapper


async def _abegin(
    make: Callable[[], AsyncGenerator[object, object]],
) -> tuple[AsyncGenerator[object, object], object]:
    inner = make()
    try:
        return inner, await anext(inner)
    except StopAsyncIteration:
        return inner, _END


_WRAPPERS: dict[Form, Callable[["Guard | Keyed", Any], Callable[..., object]]] = {
    Form.PLAIN: _plain,
    Form.COROUTINE: _coroutine,
    Form.GENERATOR: _generator,
    Form.ASYNC_GENERATOR: _async_generator,
}
