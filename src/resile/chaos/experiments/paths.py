"""Values out of JSON data by a path: the part of JSONPath that experiments use. Pure.

`$`, `.name`, `['name']`, `[3]`, `[*]`, `.*`, `..name`, `[?(@.name)]`, `[?(@.name == "text")]`.

Source: RFC 9535; a path without `$` begins at the root, as the format's own examples write it.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""
    \.\.(?P<deep>[\w-]+)
    | \.?(?P<star>\*)
    | \.?(?P<name>[\w-]+)
    | \[\s*(?P<index>-?\d+)\s*\]
    | \[\s*(?P<any>\*)\s*\]
    | \[\s*'(?P<single>[^']*)'\s*\]
    | \[\s*"(?P<double>[^"]*)"\s*\]
    | \[\?\(\s*@(?P<key>(?:\.[\w-]+)+)\s*(?:(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>[^)]+?)\s*)?\)\]
    """,
    re.VERBOSE,
)
_SIGNS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
Part = Callable[[Any], Iterator[Any]]


def parse_path(text: str) -> tuple[Part, ...]:
    """Read a path.

    Raises:
        ValueError: If it is none, or uses more than is known here.
    """
    rest = text.strip().removeprefix("$")
    if not text.strip():
        raise ValueError("the path is empty")
    parts = []
    while rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise ValueError(f"the path {text!r} cannot be read from {rest!r} on")
        parts.append(_part(match))
        rest = rest[match.end() :]
    return tuple(parts)


def values_at(parts: Sequence[Part], data: Any) -> list[Any]:
    """Give all values that a path leads to."""
    found = [data]
    for part in parts:
        found = [value for one in found for value in part(one)]
    return found


def _part(match: re.Match[str]) -> Part:
    groups = match.groupdict()
    if groups["deep"]:
        return lambda data: _deep(data, groups["deep"])
    if groups["star"] or groups["any"]:
        return _children
    if groups["index"]:
        return lambda data: _at(data, int(groups["index"]))
    if groups["key"]:
        return _filter(groups["key"][1:].split("."), groups["sign"], groups["value"])
    name = next(groups[kind] for kind in ("name", "single", "double") if groups[kind] is not None)
    return lambda data: _named(data, name)


def _named(data: Any, name: str) -> Iterator[Any]:
    if isinstance(data, dict) and name in data:
        yield data[name]


def _at(data: Any, index: int) -> Iterator[Any]:
    if isinstance(data, list) and -len(data) <= index < len(data):
        yield data[index]


def _children(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        yield from data.values()
    elif isinstance(data, list):
        yield from data


def _deep(data: Any, name: str) -> Iterator[Any]:
    yield from _named(data, name)
    for child in _children(data):
        yield from _deep(child, name)


def _filter(keys: Sequence[str], sign: str | None, text: str | None) -> Part:
    wanted = _literal(text) if text is not None else None

    def keep(data: Any) -> Iterator[Any]:
        # The format's own examples filter an object by its own keys, too, and not its children's.
        is_asked_itself = isinstance(data, dict) and keys[0] in data
        for child in [data] if is_asked_itself else _children(data):
            found = [child]
            for key in keys:
                found = [value for one in found for value in _named(one, key)]
            if found and (sign is None or _holds(sign, found[0], wanted)):
                yield child

    return keep


def _holds(sign: str, left: Any, right: Any) -> bool:
    try:
        return _SIGNS[sign](left, right)
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"{text!r} is no value to compare with") from None
