"""What a value must be: how it is written, and whether it is so. Pure but for calls that judge."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from resile.chaos.experiments.model import Call, Tolerance, ToleranceKind
from resile.chaos.experiments.paths import parse_path, values_at

Judge = Callable[[Call, Any], bool]
"""Asks a call that judges, with the value."""
ReadCall = Callable[[Any], Call | None]
"""Reads the call of a tolerance that is one."""
_TARGET: Final = "target"


def read_tolerance(data: Any, read_call: ReadCall, wrong: Callable[[str], None]) -> Tolerance:
    """Read a tolerance: a value, a list, or a table with `type`.

    Args:
        data: What was written.
        read_call: Reads a call in it.
        wrong: Hears what is wrong.
    """
    if isinstance(data, Mapping):
        return _read_table(data, read_call, wrong)
    if isinstance(data, list):
        if len(data) == 2 and all(_is_number(one) for one in data):
            return Tolerance(kind=ToleranceKind.RANGE, value=tuple(data))
        return Tolerance(kind=ToleranceKind.ONE_OF, value=tuple(data))
    if data is None:
        wrong("a tolerance of nothing is met by nothing")
    return Tolerance(kind=ToleranceKind.EQUAL, value=data)


def holds(tolerance: Tolerance, value: Any, judge: Judge) -> bool:
    """Tell whether a value is as it must be."""
    kind = tolerance.kind
    if kind is ToleranceKind.PROBE and tolerance.call is not None:
        return judge(tolerance.call, value)
    part = _part(value, tolerance)
    if kind is ToleranceKind.EQUAL:
        return _is_same(part, tolerance.value)
    if kind is ToleranceKind.ONE_OF:
        return any(_is_same(part, one) for one in tolerance.value)
    if kind is ToleranceKind.RANGE:
        return _is_within(part, *tolerance.value)
    if kind is ToleranceKind.REGEX:
        return re.search(tolerance.value, part if isinstance(part, str) else str(part)) is not None
    return _is_at_path(tolerance, part)


def _read_table(
    data: Mapping[str, Any], read_call: ReadCall, wrong: Callable[[str], None]
) -> Tolerance:
    readers: Mapping[str, Callable[[], Tolerance]] = {
        "range": lambda: _read_range(data, wrong),
        "regex": lambda: _read_regex(data, wrong),
        "jsonpath": lambda: _read_path(data, wrong),
        "probe": lambda: Tolerance(kind=ToleranceKind.PROBE, call=read_call(data)),
    }
    kind = str(data.get("type"))
    if kind not in readers:
        wrong(f"there is no type {kind!r} of tolerance; there is {', '.join(readers)}")
        return Tolerance(kind=ToleranceKind.EQUAL)
    return readers[kind]()


def _read_range(data: Mapping[str, Any], wrong: Callable[[str], None]) -> Tolerance:
    bounds = data.get("range")
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds))):
        wrong("a range needs two numbers")
        bounds = [0, 0]
    return Tolerance(
        kind=ToleranceKind.RANGE, value=tuple(bounds), target=str(data.get(_TARGET, ""))
    )


def _read_regex(data: Mapping[str, Any], wrong: Callable[[str], None]) -> Tolerance:
    pattern = str(data.get("pattern", ""))
    try:
        re.compile(pattern)
    except re.error as exc:
        wrong(f"the pattern {pattern!r} is none: {exc}")
    if not pattern:
        wrong("a regex needs a pattern")
    return Tolerance(kind=ToleranceKind.REGEX, value=pattern, target=str(data.get(_TARGET, "")))


def _read_path(data: Mapping[str, Any], wrong: Callable[[str], None]) -> Tolerance:
    path = str(data.get("path", ""))
    try:
        parse_path(path)
    except ValueError as exc:
        wrong(str(exc))
    return Tolerance(
        kind=ToleranceKind.JSONPATH,
        value=path,
        target=str(data.get(_TARGET, "")),
        expect=data.get("expect"),
        count=data.get("count"),
    )


def _part(value: Any, tolerance: Tolerance) -> Any:
    """Give what is judged: the named part, or the status where a plain value is asked for."""
    if not isinstance(value, Mapping):
        return value
    if tolerance.target:
        return value.get(tolerance.target, value)
    if tolerance.kind in (ToleranceKind.REGEX, ToleranceKind.JSONPATH):
        return value
    return value.get("status", value)


def _is_same(left: Any, right: Any) -> bool:
    """Compare; true and 1 are not the same here, though Python says so."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _is_within(value: Any, low: float, high: float) -> bool:
    try:
        return low <= float(value) <= high
    except (TypeError, ValueError):
        return False


def _is_at_path(tolerance: Tolerance, part: Any) -> bool:
    data = part
    if isinstance(part, str):
        try:
            data = json.loads(part)
        except ValueError:
            data = part
    found = values_at(parse_path(tolerance.value), data)
    if tolerance.expect is not None:
        wanted = tolerance.expect if isinstance(tolerance.expect, list) else [tolerance.expect]
        return found == wanted
    return len(found) == tolerance.count if tolerance.count is not None else bool(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
