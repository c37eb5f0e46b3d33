"""The options of faults: how they are declared, and how what a person wrote is read. Pure."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from resile.core.units import format_duration, format_size, parse_duration, parse_share, parse_size


class Kind(StrEnum):
    """How an option is written."""

    DURATION = "duration"
    """`250ms`, `10s`; seconds."""
    SIZE = "size"
    """`64KiB`; bytes."""
    COUNT = "count"
    """A whole number."""
    SHARE = "share"
    """`30%` or 0.3."""
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One option of a fault.

    Args:
        name: Its name.
        kind: How it is written.
        text: What it means, for people.
        default: What it is if nobody says; None: it must be said.
        low: The least, for all kinds but TEXT.
        high: The most.
        choices: The words that TEXT may be; empty: any.
    """

    name: str
    kind: Kind
    text: str
    default: Any = None
    low: float = 0.0
    high: float = float("inf")
    choices: tuple[str, ...] = ()

    @property
    def shown_default(self) -> str:
        """The default as a person writes it; empty if it must be said."""
        if self.default is None:
            return ""
        if self.kind is Kind.DURATION:
            return format_duration(self.default)
        if self.kind is Kind.SIZE:
            return format_size(self.default)
        return f"{self.default:.0%}" if self.kind is Kind.SHARE else str(self.default)


def read_arguments(
    parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read what was given for these options; give their values, and all that is wrong."""
    known = {parameter.name: parameter for parameter in parameters}
    problems = [_unknown(name, known) for name in given if name not in known]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            value, problem = _read(parameter, given[name])
        else:
            value = parameter.default
            problem = f"{name} is missing: {parameter.text}" if value is None else ""
        values[name] = value
        problems += [problem] if problem else []
    return values, problems


def _read(parameter: Parameter, given: Any) -> tuple[Any, str]:
    try:
        value = _PARSERS[parameter.kind](given)
    except (TypeError, ValueError) as exc:
        return None, f"{parameter.name}: {exc}"
    if parameter.kind is Kind.TEXT:
        if parameter.choices and value not in parameter.choices:
            return None, f"{parameter.name}: {value!r} is none of {', '.join(parameter.choices)}"
        return value, ""
    if not parameter.low <= value <= parameter.high:
        return None, f"{parameter.name}: {given!r} is not within {_range(parameter)}"
    return value, ""


def _range(parameter: Parameter) -> str:
    write: Callable[[Any], str] = {
        Kind.DURATION: format_duration,
        Kind.SIZE: lambda size: format_size(int(size)),
        Kind.SHARE: lambda share: f"{share:.0%}",
    }.get(parameter.kind, lambda number: f"{number:g}")
    above = "" if parameter.high == float("inf") else f" to {write(parameter.high)}"
    return f"{write(parameter.low)}{above or ' or more'}"


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(known) or 'none'}"
    return f"there is no option {name!r}{hint}"


def _count(given: Any) -> int:
    if isinstance(given, bool | float):
        raise ValueError(f"{given!r} is no whole number")  # noqa: TRY004 - wrong input, told as such
    try:
        return int(given)
    except (TypeError, ValueError):
        raise ValueError(f"{given!r} is no whole number") from None


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError(f"{given!r} is no text")  # noqa: TRY004 - wrong input, told as such
    return given


_PARSERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.DURATION: parse_duration,
    Kind.SIZE: parse_size,
    Kind.SHARE: parse_share,
    Kind.COUNT: _count,
    Kind.TEXT: _text,
}
