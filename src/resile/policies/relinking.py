"""Have functions that were decorated long ago follow their guard when its policies change.

A generated wrapper knows its layers by the cells of its closure, and the lines of its code. Both can
be exchanged while others call it, so the quick path pays nothing for that it may change:

- If the new lines use the same names, the wrapper gets the new code and new contents of its cells.
- Else it gets code that only calls a second wrapper, with the new lines: one frame more.
"""

from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from resile.policies import compiled
from resile.policies.forks import RenewedLock
from resile.policies.forms import ordinary
from resile.policies.nesting import GUARD_IN_GENERATED

if TYPE_CHECKING:
    from resile.policies.bound import Guard

_MARK: Final = "_resile_"
_FUNCTION: Final = "_resile_function"
_COROUTINE: Final = 0x80
"""Flag of code objects, as `inspect` names it."""
_REDIRECTED: Final["WeakKeyDictionary[FunctionType, Guard]"] = WeakKeyDictionary()
"""Wrappers that only call another one, and their guards."""
_LOCK: Final = RenewedLock()


def relink(guard: "Guard") -> None:
    """Point all generated wrappers of a guard at its layers as they are now. Thread-safe."""
    with _LOCK:
        for wrapper in (*compiled.wrappers(), *_REDIRECTED):
            # A second wrapper behind a redirected one is not what was decorated.
            if "__wrapped__" in vars(wrapper) and _guard_of(wrapper) is guard:
                _point(wrapper, guard)


def _guard_of(wrapper: FunctionType) -> object:
    return _REDIRECTED.get(wrapper) or _cells(wrapper)[GUARD_IN_GENERATED].cell_contents


def _point(wrapper: FunctionType, guard: "Guard") -> None:
    function: Callable[..., Any] = wrapper.__wrapped__  # type: ignore[attr-defined]
    is_async = bool(wrapper.__code__.co_flags & _COROUTINE)
    new = compiled.generated(guard, function, is_async=is_async)
    cells = _cells(wrapper)
    if new is not None and set(_cells(new)) == set(cells):
        compiled.delist(new)
        _exchange(wrapper, new, cells)
    else:
        _redirect(wrapper, new or ordinary(guard, function), cells)
        _REDIRECTED[wrapper] = guard


def _exchange(wrapper: FunctionType, new: FunctionType, cells: dict[str, CellType]) -> None:
    """Give a wrapper code and contents of a new one. What it calls comes last.

    A call that is between two of these steps is guarded by old and new layers, or by both.
    """
    for name, cell in _cells(new).items():
        if name != _FUNCTION:
            cells[name].cell_contents = cell.cell_contents
    wrapper.__code__ = new.__code__
    cells[_FUNCTION].cell_contents = wrapper.__wrapped__  # type: ignore[attr-defined]
    _REDIRECTED.pop(wrapper, None)
    compiled.enlist(wrapper)


def _redirect(
    wrapper: FunctionType, target: Callable[..., Any], cells: dict[str, CellType]
) -> None:
    """Have a wrapper call another one. A call between the two steps is guarded twice."""
    cells[_FUNCTION].cell_contents = target
    wrapper.__code__ = _redirecting(wrapper)
    compiled.delist(wrapper)


def _redirecting(wrapper: FunctionType) -> CodeType:
    """Compile code that calls `_resile_function`, and has the closure of the wrapper.

    The names of a closure are in the order of the alphabet. These get their number in front, so
    that they keep their order, and are not taken for those of a wrapper that guards. The line
    after the return is never reached; it makes all names a part of the closure.
    """
    names = list(_cells(wrapper))
    numbered = [f"{_MARK}{number:02}{name}" for number, name in enumerate(names)]
    parameters, arguments = compiled.signature(wrapper.__wrapped__)  # type: ignore[attr-defined]
    is_async = bool(wrapper.__code__.co_flags & _COROUTINE)
    define, wait = ("async def", "await ") if is_async else ("def", "")
    source = "\n".join(
        (
            f"def make({', '.join(numbered)}):",
            f"    {define} guarded({parameters}):",
            f"        return {wait}{numbered[names.index(_FUNCTION)]}({arguments})",
            f"        {', '.join(numbered)}",
            "    return guarded",
        )
    )
    scope: dict[str, Any] = {}
    exec(compile(source, "<resile: changed>", "exec"), scope)  # noqa: S102 - from checked names alone
    code: CodeType = scope["make"](*numbered).__code__
    return code


def _cells(wrapper: FunctionType) -> dict[str, CellType]:
    """Map the names of a generated wrapper's closure to its cells; without the numbers."""
    names = wrapper.__code__.co_freevars
    if names and names[0].startswith(f"{_MARK}00"):
        names = tuple(name[len(_MARK) + 2 :] for name in names)
    return dict(zip(names, wrapper.__closure__ or (), strict=True))
