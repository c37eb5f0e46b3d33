"""Move every time in a frozen value by the same span, for when the clock was set. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast

ValueT = TypeVar("ValueT")

Move = Callable[[datetime], datetime]


def with_times(value: ValueT, move: Move) -> ValueT:
    """Give an equal value whose times are moved.

    Args:
        value: Dataclasses, mappings, tuples and plain data, however deep.
        move: Gives the new time of an old one.
    """
    return cast("ValueT", _moved(value, move))


def _moved(value: Any, move: Move) -> Any:
    if isinstance(value, datetime):
        return move(value)
    if isinstance(value, Mapping):
        return {key: _moved(one, move) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_moved(one, move) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: _moved(getattr(value, f.name), move) for f in fields(value) if f.init}
        return replace(value, **moved)
    return value
