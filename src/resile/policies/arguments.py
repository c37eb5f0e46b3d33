"""Find the guarded function and its arguments at the end of a pipeline of layers.

A guard runs a chain of `partial(layer.run, rest)`, with `partial(function, *args, **kwargs)` at its
end. Only the layers that need the arguments look for them, so the others pay nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

_COLOURS = ("run", "arun")


def guarded_call(call: Callable[[], object]) -> partial[Any]:
    """Give the function that is guarded, with its arguments; none if only a thunk is known."""
    while isinstance(call, partial) and _is_layer(call):
        (call,) = call.args
    return call if isinstance(call, partial) else partial(call)


def _is_layer(call: partial[Any]) -> bool:
    """Tell whether a step of a chain belongs to a layer, and has a rest."""
    owner = getattr(call.func, "__self__", None)
    return (
        len(call.args) == 1
        and not call.keywords
        and getattr(call.func, "__name__", "") in _COLOURS
        and all(hasattr(owner, colour) for colour in _COLOURS)
    )
