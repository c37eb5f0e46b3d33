"""Puts values where `${name}` stands. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from resile.chaos.experiments.model import Variables

_PLACE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(data: Any, variables: Variables) -> Any:
    """Fill a value, and all that is in it.

    A text that is one `${name}` and nothing else becomes the value with its type; amid other text it
    becomes text. A name that nobody declared stays as it is: it may be the program's own.
    """
    return _filled(data, _names(variables))


def _filled(data: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(data, str):
        whole = _PLACE.fullmatch(data)
        if whole is not None:
            return names.get(whole[1], data)
        return _PLACE.sub(lambda match: str(names.get(match[1], match[0])), data)
    if isinstance(data, Mapping):
        return {key: _filled(value, names) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_filled(value, names) for value in data]
    return data


def _names(variables: Variables) -> Mapping[str, Any]:
    """Give all values by their names: a group of secrets may name one that the configuration has."""
    found: dict[str, Any] = {}
    for group in variables.secrets.values():
        found.update(group)
    return {**found, **variables.configuration}
