"""Turn what pydantic says into faults in our own words, and faults into lines for people."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from resile.core.config.faults import Fault, Path, did_you_mean, quoted
from resile.core.config.locate import line_of
from resile.core.config.shape import keys_of, kind_at

_SECRET_KEYS = frozenset({"env", "postgres"})
_SHOWN_LENGTH_MAX = 60

_CONSEQUENCES = frozenset({"default_factory_not_called"})
"""Said of a default that waits for a key which is wrong itself."""

_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": 'a list such as ["a", "b"]',
    "dict_type": "a table",
    "model_type": "a table such as { key = value }",
}


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """Give one fault for each thing that pydantic found."""
    details = error.errors(include_url=False)
    return tuple(
        _fault_of(dict(detail)) for detail in details if detail["type"] not in _CONSEQUENCES
    )


def render(
    faults: Iterable[Fault],
    *,
    file: str,
    lines: Mapping[Path, int],
    sources: Mapping[Path, str],
) -> tuple[str, ...]:
    """Write each fault as `file:line: key: message (hint)`, in the order of the file.

    A fault in a setting that came from the environment names the variable instead of the line.
    """
    found = {}
    for fault in faults:
        line = line_of(dict(lines), fault.path)
        source = _source(fault.path, sources)
        place = f"{source}:" if source else f"{file}:{line}:" if fault.path else ""
        key = f" {dotted(fault.path)}:" if fault.path else ""
        hint = f" ({fault.hint})" if fault.hint else ""
        text = f"{place}{key} {fault.message}{hint}".strip()
        found[text] = (bool(source) or not fault.path, line)
    return tuple(sorted(found, key=lambda text: found[text]))


def dotted(path: Path) -> str:
    """Write a path as TOML writes a key: `service.api.depends_on[1]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def _source(path: Path, sources: Mapping[Path, str]) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in sources:
            return sources[path[:length]]
    return ""


def _fault_of(detail: dict[str, Any]) -> Fault:
    path: Path = tuple(key for key in detail["loc"] if key != "[key]")
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "resile":
        return Fault(path=path, message=context["message"], hint=context["hint"])
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "literal_error":
        return _unknown_word(path, detail["input"], str(context["expected"]))
    if kind in _EXPECTED:
        got = _shown(path, detail["input"])
        return Fault(path=path, message=f"must be {_EXPECTED[kind]}, not {got}")
    say = _SAYINGS.get(kind)
    return Fault(path=path, message=say(context) if say else str(detail["msg"]))


_SAYINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "too_short": lambda context: f"needs at least {context['min_length']}",
}


def _unknown_key(path: Path) -> Fault:
    key = str(path[-1])
    known = keys_of(kind_at(path[:-1]))
    hint = did_you_mean(key, known)
    if key == "notify" and path[-2:-1] == ("ready",):
        hint = "write notify = true beside ready, in the service's own table"
    return Fault(path=path, message="unknown key", hint=hint)


def _unknown_word(path: Path, value: object, expected: str) -> Fault:
    words = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    if not isinstance(value, str) or words == ["True"]:
        return Fault(path=path, message=f"must be {expected.lower()}, not {_shown(path, value)}")
    message = f'"{value}" is not known here'
    return Fault(path=path, message=message, hint=did_you_mean(value, words))


_SORTS: dict[type, str] = {str: "text", list: "a list", dict: "a table", bool: "true or false"}


def _shown(path: Path, value: object) -> str:
    """Show what was written, unless it may be a secret."""
    if _SECRET_KEYS & set(path):
        return _SORTS.get(type(value), "a value of another sort")
    if isinstance(value, dict):
        return _SORTS[dict]
    text = quoted(value)
    return text if len(text) <= _SHOWN_LENGTH_MAX else text[:_SHOWN_LENGTH_MAX] + "..."
