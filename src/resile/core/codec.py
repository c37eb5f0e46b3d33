"""Frozen dataclasses to plain JSON data and back.

Knows what our records are made of: str, int, float, bool, None, enums, aware datetimes, tuples,
mappings with string keys, unions with None, and dataclasses of these. Anything else is a
programmer's mistake. Reading ignores keys that this version does not know, so that an older
reader survives a newer writer.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")
_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Most of what is encoded; what is a kind of these, such as an enum, is looked at more closely."""


def encode(value: object) -> Any:
    """Turn a value into what `json.dumps` takes."""
    if type(value) in _PLAIN or (
        isinstance(value, str | int | float) and not isinstance(value, Enum)
    ):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(encode(key)): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        items = sorted(value) if isinstance(value, frozenset | set) else value
        return [encode(item) for item in items]
    return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}  # type: ignore[arg-type]


def decode(kind: type[T], data: Any) -> T:
    """Turn plain data back into a `kind`.

    Raises:
        ValueError: If the data does not fit the type (a missing key, a wrong enum value).
    """
    try:
        return typing.cast("T", _decode(kind, data))
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"data does not fit {kind.__name__}: {exc!r}") from exc


def _decode(kind: Any, data: Any) -> Any:
    """Read a value; classes first, as they are most of what records hold."""
    if isinstance(kind, type):
        return _decode_class(kind, data)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(kind, data)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], item) for item in data)
    if origin is frozenset:
        return frozenset(_decode(get_args(kind)[0], item) for item in data)
    key_kind, value_kind = get_args(kind)
    return {_decode(key_kind, k): _decode(value_kind, v) for k, v in data.items()}


def _decode_class(kind: Any, data: Any) -> Any:  # noqa: PLR0911 - one line for each kind of value
    if kind is float:
        return float(data)
    if kind in _PLAIN:
        return _checked(kind, data)
    if kind is Any or kind is object:
        return data
    if kind is datetime:
        return datetime.fromisoformat(data)
    if issubclass(kind, Enum):
        return kind(data)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data)
    return _checked(kind, data)


def _checked(kind: Any, data: Any) -> Any:
    if not isinstance(data, kind):
        raise TypeError(f"{data!r} is not a {kind.__name__}")
    return data


def _decode_dataclass(kind: Any, data: Any) -> Any:
    return kind(**{n: _decode(h, data[n]) for n, h in _hints(kind).items() if n in data})


def _decode_union(kind: Any, data: Any) -> Any:
    if data is None:
        return None
    (inner,) = (arg for arg in get_args(kind) if arg is not type(None))
    return _decode(inner, data)


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}
