"""Generate the success path of a guarded function: one frame with the function's own parameters.

A call with `*args, **kwargs` costs as much as several policies, so the wrapper has exactly the
parameters of its target, and the layers' lines of a call that goes well stand in it. Everything else
(a gate that is up, a failure) goes to the guard, whose layers decide; they are the truth, and the
tests hold the generated code to them. `RESILE_NO_CODEGEN=1` turns it off.

Functions of one shape share one compiled code object, so a further one costs microseconds.
"""

import linecache
import os
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakSet

from resile.errors import BreakerOpenError
from resile.policies.forks import RenewedLock
from resile.policies.layer import Around, Inline, Inlining

if TYPE_CHECKING:
    from resile.policies.bound import Guard
    from resile.policies.keyed import Keyed

OFF: Final = "RESILE_NO_CODEGEN"
"""The environment variable that turns it off, if it is `1`."""
_PREFIX: Final = "_resile_"
_SHAPES_MAX: Final = 1000
"""Shapes that are kept, some kilobytes each; later ones go the ordinary way."""
_VARARGS: Final = 0x04
_VARKEYWORDS: Final = 0x08
"""Flags of code objects, as `inspect` names them."""


class _Shape(NamedTuple):
    """All that the generated source depends on.

    Args:
        parameters: As in a definition, without defaults.
        arguments: As in a call.
        is_async: True for a coroutine function.
        kinds: For tracebacks.
        names: What the lines use from outside.
        gates: Expressions that send a call the ordinary way, each with lines that reject it first.
        before: Lines before the call.
        arounds: Lines around all attempts, outermost first.
        takes: Expressions that take what the call needs.
        gives: Lines that give it back.
        each_arounds: Lines around the one call, outermost first.
        after: Lines after a call that went well.
    """

    parameters: str
    arguments: str
    is_async: bool
    kinds: str
    names: tuple[str, ...]
    gates: tuple[tuple[str, tuple[str, ...]], ...]
    before: tuple[str, ...]
    arounds: tuple[Around, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    each_arounds: tuple[Around, ...]
    after: tuple[str, ...]


_SHARED: Final[dict[str, object]] = {
    "_resile_partial": partial,
    "_resile_exception": Exception,
    "_resile_any": BaseException,
    "_resile_object": object,
    "_resile_open": BreakerOpenError,
}
"""What every wrapper uses besides its own, kept out of its closure: each name there costs a call."""
_FACTORIES: Final[dict[_Shape, Callable[..., FunctionType]]] = {}
_LOCK: Final = RenewedLock()
WRAPPERS: Final[WeakSet[FunctionType]] = WeakSet()
"""Those that live. They pass guards by, so whoever steers all guarded code has to know them."""


def generated(
    guard: "Guard | Keyed", function: Callable[..., object], *, is_async: bool
) -> FunctionType | None:
    """Generate a wrapper for a function, without its name and docstring.

    Returns:
        None if it has to go the ordinary way: switched off, no function of Python's, guarded by key,
        a layer whose success path is not generated, a parameter that begins with `_resile_`.
    """
    layers = getattr(guard, "layers", None)
    if not layers or not isinstance(function, FunctionType) or os.environ.get(OFF) == "1":
        return None
    inlines = _inlines(layers, is_async=is_async)
    if inlines is None or any(name.startswith(_PREFIX) for name in _parameters(function)):
        return None
    names: dict[str, object] = {}
    for inline in inlines:
        names |= inline.names
    factory = _factory(_shape(function, inlines, tuple(names), is_async=is_async))
    if factory is None:
        return None
    wrapper = factory(function, guard, *names.values())
    wrapper.__defaults__ = function.__defaults__
    wrapper.__kwdefaults__ = function.__kwdefaults__
    enlist(wrapper)
    return wrapper


def enlist(wrapper: FunctionType) -> None:
    """Keep a weak reference to a wrapper."""
    with _LOCK:
        WRAPPERS.add(wrapper)


def delist(wrapper: FunctionType) -> None:
    """Forget a wrapper that does not guard, or not by itself."""
    with _LOCK:
        WRAPPERS.discard(wrapper)


def wrappers() -> tuple[FunctionType, ...]:
    """Give those that live; others may be made meanwhile."""
    with _LOCK:
        return tuple(WRAPPERS)


def _inlines(layers: tuple[object, ...], *, is_async: bool) -> list[Inline] | None:
    """Give the lines of every layer; None if one has none.

    A layer may reject at once only if no layer around it could do anything about it.
    """
    inlines = []
    may_reject = True
    for layer in layers:
        inline = layer.inline() if isinstance(layer, Inlining) else None
        if inline is None or (inline.around is None and not is_async):
            return None
        inlines.append(inline if may_reject else inline._replace(rejects=()))
        may_reject = may_reject and getattr(layer, "passes_rejections", False)
    # What cannot be given back is taken last; of two such, one might be taken in vain.
    is_lost = [bool(inline.takes) and not inline.gives for inline in inlines]
    names = [name for inline in inlines for name in inline.names if name != "_resile_clock"]
    is_twice = len(set(names)) < len(names)
    return None if sum(is_lost) > 1 or is_twice else inlines


def _shape(
    function: FunctionType, inlines: list[Inline], names: tuple[str, ...], *, is_async: bool
) -> _Shape:
    parameters, arguments = signature(function)
    # What is around a retry is around its further attempts too, which the guard makes.
    retries = [number for number, inline in enumerate(inlines) if inline.kind == "retry"]
    outer = max(retries, default=0)
    arounds = [inline.async_around if is_async else inline.around for inline in inlines]
    return _Shape(
        parameters=parameters,
        arguments=arguments,
        is_async=is_async,
        kinds=", ".join(inline.kind for inline in inlines),
        names=names,
        gates=tuple((inline.gate, inline.rejects) for inline in inlines if inline.gate),
        before=tuple(line for inline in inlines for line in inline.before),
        arounds=tuple(one for one in arounds[:outer] if one and one.begin),
        takes=tuple(
            inline.takes
            for inline in sorted(inlines, key=lambda inline: not inline.gives)
            if inline.takes
        ),
        gives=tuple(line for inline in reversed(inlines) for line in inline.gives),
        each_arounds=tuple(one for one in arounds[outer:] if one and one.begin),
        after=tuple(line for inline in reversed(inlines) for line in inline.after),
    )


def _parameters(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    extra = bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + extra]


def signature(function: FunctionType) -> tuple[str, str]:
    """Write the parameters without defaults, which a function keeps apart, and the arguments."""
    code = function.__code__
    names = _parameters(function)
    positional = names[: code.co_argcount]
    keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    extra = list(names[code.co_argcount + code.co_kwonlyargcount :])
    star = f"*{extra.pop(0)}" if code.co_flags & _VARARGS else ""
    parameters = list(positional)
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    if star or keywords:
        parameters.append(star or "*")
    parameters += keywords
    arguments = [*positional, *([star] if star else []), *(f"{key}={key}" for key in keywords)]
    double_star = [f"**{name}" for name in extra]
    return ", ".join(parameters + double_star), ", ".join(arguments + double_star)


def _factory(shape: _Shape) -> Callable[..., FunctionType] | None:
    """Give what makes wrappers of a shape; None if there are too many shapes."""
    factory = _FACTORIES.get(shape)
    if factory is None:
        with _LOCK:
            if len(_FACTORIES) >= _SHAPES_MAX:
                return None
            factory = _FACTORIES[shape] = _compile(
                shape, f"<resile {len(_FACTORIES)}: {shape.kinds}>"
            )
    return factory


def _compile(shape: _Shape, filename: str) -> Callable[..., FunctionType]:
    source = _source(shape)
    scope: dict[str, Any] = {"__name__": __name__, **_SHARED}
    exec(compile(source, filename, "exec"), scope)  # noqa: S102 - built from checked names alone
    # A source without a time stays in the cache, so that tracebacks can show it.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    made: Callable[..., FunctionType] = scope["_resile_make"]
    return made


def _source(shape: _Shape) -> str:
    wait, colour, define = ("await ", "a", "async def") if shape.is_async else ("", "", "def")
    later = f"_resile_partial(_resile_function, {shape.arguments})"
    ordinary = f"return {wait}_resile_guard.{colour}run({later})"
    body = []
    for gate, rejects in shape.gates:
        body += [f"if {gate}:", *_inside((*rejects, ordinary))]
    tried = ["try:", *_inside(_attempt(shape, f"{wait}_resile_function({shape.arguments})"))]
    tried += ["except _resile_exception as _resile_error:"]
    tried += [f"    return {wait}_resile_guard.{colour}resume(_resile_error, {later})"]
    if shape.takes:
        tried += ["if not _resile_taken:", f"    {ordinary}"]
    body += [*shape.before, *_within(shape.arounds, tried)]
    body += [*shape.after, "return _resile_result"] if _has_result(shape) else []
    names = ", ".join(("_resile_function", "_resile_guard", *shape.names))
    lines = [f"def _resile_make({names}):", f"    {define} guarded({shape.parameters}):"]
    lines += _inside(_inside(body))
    return "\n".join([*lines, "    return guarded", ""])


def _attempt(shape: _Shape, call: str) -> list[str]:
    """Write the first attempt, which gives back what it takes."""
    call = f"_resile_result = {call}" if _has_result(shape) else f"return {call}"
    lines = _within(shape.each_arounds, [call])
    if not shape.takes:
        return lines
    return [
        "_resile_taken = False",
        "try:",
        f"    _resile_taken = {' and '.join(shape.takes)}",
        "    if _resile_taken:",
        *_inside(_inside(lines)),
        "finally:",
        *_inside(shape.gives or ("pass",)),
    ]


def _has_result(shape: _Shape) -> bool:
    """Tell whether there are lines between the call and the return of its result."""
    return bool(shape.after) or any(around.done for around in shape.each_arounds)


def _within(arounds: Iterable[Around], lines: list[str]) -> list[str]:
    """Write lines with others around them, the first outermost."""
    for begin, leave, fail, done in reversed(tuple(arounds)):
        lines = [*lines, done] if done else lines
        if leave:
            failed = ["except _resile_any as _resile_broken:", *_inside((fail, "raise"))]
            caught = failed if fail else []
            lines = ["try:", *_inside(lines), *caught, "finally:", f"    {leave}"]
        lines = [begin, *lines]
    return lines


def _inside(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
