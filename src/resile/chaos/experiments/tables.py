"""Reads the tables of an experiment's file, and collects everything that is wrong with them."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from resile.core.units import format_duration, parse_duration

T = TypeVar("T")


class Table:
    """One table of a file. What is wrong is noted with its place, and something harmless is given instead.

    Args:
        data: What the file has there.
        where: Its place, for people; empty for the whole file.
        problems: Where what is wrong is noted.
    """

    def __init__(self, data: Any, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        self._known: list[str] = []
        if not isinstance(data, Mapping):
            self.wrong("", f"is {_kind(data)}, and has to be a table")
            data = {}
        self._data: Mapping[str, Any] = data

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        self._known.append(key)
        return key in self._data

    def raw(self, key: str, default: Any = None) -> Any:
        """Give a value as it is."""
        self._known.append(key)
        return self._data.get(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        """Give a text; without a default it must be there."""
        return str(self._get(key, default, "", str, "a text"))

    def flag(self, key: str, *, default: bool) -> bool:
        """Give true or false."""
        return bool(self._get(key, default, default, bool, "true or false"))

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Give a table as it is; empty if it is not there."""
        found: Mapping[str, Any] = self._get(key, {}, {}, Mapping, "a table")
        return found

    def duration(
        self, key: str, default: float, *, low: float = 0.0, high: float = 86_400.0
    ) -> float:
        """Give a duration in seconds."""
        self._known.append(key)
        if key not in self._data:
            return default
        given = self._data[key]
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            self.wrong(key, f"is {_kind(given)}, and has to be a duration")
            return default
        try:
            seconds = parse_duration(given)
        except ValueError as exc:
            self.wrong(key, str(exc))
            return default
        if not low <= seconds <= high:
            self.wrong(
                key, f"{given} is not within {format_duration(low)} to {format_duration(high)}"
            )
            return default
        return seconds

    def tables(self, key: str, *, max_count: int) -> list["Table"]:
        """Give a list of tables; empty if it is not there."""
        found = self._get(key, [], [], list, "a list of tables")
        if len(found) > max_count:
            self.wrong(key, f"has {len(found)} entries, and may have {max_count}")
        return [
            Table(one, f"{self._place(key)}[{number}]", self.problems)
            for number, one in enumerate(found[:max_count], 1)
        ]

    def one_of(self, choices: Mapping[str, Callable[[Any], T]], what: str) -> T | None:
        """Read the one key of these that must be there."""
        found = [key for key in choices if self.has(key)]
        if len(found) != 1:
            names = ", ".join(choices)
            self.wrong(
                "", f"{what} needs exactly one of {names}; there is {', '.join(found) or 'none'}"
            )
            return None
        return choices[found[0]](self._data[found[0]])

    def wrong(self, key: str, problem: str) -> None:
        """Note what is wrong."""
        place = self._place(key)
        self.problems.append(f"{place}: {problem}" if place else problem)

    def finish(self) -> None:
        """Note the keys that nobody asked for."""
        for key in self._data:
            if key not in self._known:
                near = difflib.get_close_matches(str(key), self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(self._known)}"
                self.wrong(str(key), f"there is no such key; {hint}")

    def _get(self, key: str, default: Any, instead: Any, kind: type, name: str) -> Any:
        self._known.append(key)
        if key not in self._data:
            if default is None:
                self.wrong(key, f"is missing: {name}")
                return instead
            return default
        found = self._data[key]
        if not isinstance(found, kind):
            self.wrong(key, f"is {_kind(found)}, and has to be {name}")
            return instead
        return found

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}".strip(".") if key else self.where


def _kind(value: Any) -> str:
    names = {
        "bool": "true or false",
        "dict": "a table",
        "float": "a number",
        "int": "a number",
        "list": "a list",
        "NoneType": "nothing",
        "str": "a text",
    }
    return names.get(type(value).__name__, type(value).__name__)
