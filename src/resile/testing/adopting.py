"""Give every guard of this process a fresh state for a test, and afterwards the one it had before.

A guard is adopted when it is first looked at: production keeps no list of them all. Its layers are
made anew, with a script as the innermost; but a breaker is emptied in place, since code may hold it.
Generated wrappers know what they use by names, which are pointed at the new layers.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import CellType, FunctionType
from typing import Any, Final
from unittest.mock import patch

from resile.policies import compiled, forms
from resile.policies.bound import Guard
from resile.policies.breaking import BreakerLayer
from resile.policies.budget import Budget
from resile.policies.layer import Inlining, Layer
from resile.policies.nesting import GUARD_IN_GENERATED
from resile.policies.retrying import RetryLayer
from resile.testing.scripts import Script, ScriptLayer, Stand

_FUNCTION: Final = "_resile_function"
_COROUTINE: Final = 0x80
"""Flag of code objects, as `inspect` names it."""
_LAYERS: Final[Any] = vars(Guard)["layers"]
"""The slot itself, which a property hides while guards are adopted."""


class Adopted:
    """A guard in a test.

    Args:
        guard: The guard itself.
        script: What the test does to its attempts; None for nothing.
    """

    def __init__(self, guard: Guard, script: Script | None) -> None:
        self.guard = guard
        self.script = script
        self.inner: tuple[Layer, ...] = ()
        """Its layers, without the script."""
        self.wrappers: list[FunctionType] = []


class Adoption:
    """The guards of this process while they are tested. Not thread-safe.

    Args:
        script_of: Gives the script for a name; None where nothing is done to attempts.
        welcome: Is told of each guard once its layers are made, and may change them.
        undo: Gets all that is to be done at the end.
        alone: Gives a context in which no other thread looks at a guard that is being adopted.
    """

    def __init__(
        self,
        script_of: Callable[[str], Script | None],
        welcome: Callable[[Adopted], None],
        undo: ExitStack,
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        if Guard.__dict__["layers"] is not _LAYERS:
            raise AssertionError(
                "policies() or simulate() has the guards of this process already: use that one, "
                "not a second inside of it"
            )
        self._script_of = script_of
        self._welcome = welcome
        self._undo = undo
        self._alone = alone
        self._by_id: dict[int, Adopted] = {}
        self._plain: dict[int, tuple[Guard, Adopted]] = {}
        """What generated wrappers have for a guard: its layers without the script."""
        self._emptied: dict[int, object] = {}
        layers = property(self._layers_of, _LAYERS.__set__)
        undo.enter_context(patch.object(Guard, "layers", layers))
        undo.enter_context(patch.object(forms, "generated", self._generated))
        with alone():
            for wrapper in compiled.wrappers():
                self._adopt_wrapper(wrapper)

    def guards(self) -> tuple[Adopted, ...]:
        """Give those that are adopted so far."""
        return tuple(self._by_id.values())

    def of(self, guard: Guard) -> Adopted:
        """Give a guard in this test; its state is fresh when it is first asked for."""
        if id(guard) in self._plain:
            return self._plain[id(guard)][1]
        adopted = self._by_id.get(id(guard))
        if adopted is None:
            with self._alone():
                adopted = self._adopt(guard)
        return adopted

    def change(self, adopted: Adopted, layers: Iterable[Layer]) -> None:
        """Give a guard other layers."""
        adopted.inner = tuple(layers)
        for wrapper in adopted.wrappers:
            self._point(wrapper, adopted.inner)

    def _adopt(self, guard: Guard) -> Adopted:
        adopted = self._by_id[id(guard)] = Adopted(guard, self._script_of(guard.name))
        chance, guard.chance = guard.chance, random.Random(0)  # noqa: S311 - as in every run
        try:
            made = _LAYERS.__get__(guard.twin(guard.name))
        finally:
            guard.chance = chance
        adopted.inner = tuple(self._kept(_LAYERS.__get__(guard), made))
        self._welcome(adopted)
        return adopted

    def _layers_of(self, guard: Guard) -> tuple[Layer, ...]:
        if id(guard) in self._plain:
            return self._plain[id(guard)][1].inner
        adopted = self.of(guard)
        if adopted.script is None:
            return adopted.inner
        return (*adopted.inner, ScriptLayer(adopted.script))

    def _kept(self, before: Iterable[Layer], made: Iterable[Layer]) -> Iterable[Layer]:
        """Give the layers that were made, but a breaker that there was in place of a new one."""
        breakers = [layer for layer in before if isinstance(layer, BreakerLayer)]
        for layer in made:
            if isinstance(layer, BreakerLayer):
                yield self._emptied_breaker(breakers.pop(0))
                continue
            if isinstance(layer, RetryLayer) and layer.budget is not None:
                self._fill(layer.budget)
            yield layer

    def _emptied_breaker(self, layer: BreakerLayer) -> BreakerLayer:
        """Begin anew with a breaker, and put its state back at the end."""
        state = {name: getattr(layer, name) for name in _slots(layer)}
        self._undo.callback(_put_back, layer, state)
        layer.__init__(layer.policy, layer.name, layer.clock)  # type: ignore[misc]
        return layer

    def _fill(self, budget: Budget) -> None:
        """Fill a budget once, which guards may share, and put its state back at the end."""
        if id(budget) not in self._emptied:
            self._emptied[id(budget)] = budget
            state = {name: getattr(budget, name) for name in _slots(budget)}
            self._undo.callback(_put_back, budget, state)
            budget.refill()

    def _generated(
        self, guard: Any, function: Callable[..., object], *, is_async: bool
    ) -> Callable[..., Any] | None:
        """Do what `compiled.generated` does, with the layers as they are outside of the test."""
        with self._alone():
            with patch.object(Guard, "layers", _LAYERS):
                wrapper = compiled.generated(guard, function, is_async=is_async)
            if wrapper is not None:
                self._adopt_wrapper(wrapper)
        return wrapper

    def _adopt_wrapper(self, wrapper: FunctionType) -> None:
        """Have a generated wrapper use the layers of this test, and the script within them."""
        cells = _cells(wrapper)
        for cell in cells.values():
            self._undo.callback(setattr, cell, "cell_contents", cell.cell_contents)
        guard: Guard = cells[GUARD_IN_GENERATED].cell_contents
        adopted = self.of(guard)
        adopted.wrappers.append(wrapper)
        if adopted.script is not None:
            plain = _copy(guard)
            self._plain[id(plain)] = (plain, adopted)
            cells[GUARD_IN_GENERATED].cell_contents = plain
            cells[_FUNCTION].cell_contents = Stand(
                cells[_FUNCTION].cell_contents,
                adopted.script,
                is_async=bool(wrapper.__code__.co_flags & _COROUTINE),
            )
        self._point(wrapper, adopted.inner)

    def _point(self, wrapper: FunctionType, layers: Iterable[Layer]) -> None:
        cells = _cells(wrapper)
        for layer in layers:
            inline = layer.inline() if isinstance(layer, Inlining) else None
            for name, value in (inline.names if inline else {}).items():
                if name in cells:  # Code that was made before the layer could be inlined has none.
                    cells[name].cell_contents = value


def guard_of(function: object) -> Any:
    """Give the guard around a function, or the one of its keys; None if there is none."""
    cells = _cells(function) if isinstance(function, FunctionType) else {}
    cell = cells.get(GUARD_IN_GENERATED) or cells.get("guard")
    return None if cell is None else cell.cell_contents


def _cells(function: FunctionType) -> dict[str, CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _copy(guard: Guard) -> Guard:
    copy = object.__new__(type(guard))
    for name in set(_slots(guard)) - {"layers"}:
        setattr(copy, name, getattr(guard, name))
    return copy


def _slots(thing: object) -> list[str]:
    names = (name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
    return [name for name in names if name != "__weakref__"]


def _put_back(thing: object, state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(thing, name, value)
