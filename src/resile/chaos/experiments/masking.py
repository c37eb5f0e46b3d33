"""Keeps the values of secrets out of what people read. Pure."""

import json
from collections.abc import Iterator
from typing import Any, Final

from resile.chaos.experiments.model import Variables

MASK: Final = "***"
SHOWN_LENGTH_MAX: Final = 300
_SECRET_LENGTH_MIN: Final = 4
"""Shorter values are in any text by chance, and replacing them would only spoil it."""


def shown(value: Any, variables: Variables) -> str:
    """Write a value for people: short, in one line, without secrets."""
    text = value if isinstance(value, str) else _json(value)
    for secret in sorted(_secrets(variables), key=len, reverse=True):
        text = text.replace(secret, MASK)
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_LENGTH_MAX else f"{line[:SHOWN_LENGTH_MAX]}..."


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        return str(value)


def _secrets(variables: Variables) -> Iterator[str]:
    for group in variables.secrets.values():
        for value in group.values():
            if len(text := str(value)) >= _SECRET_LENGTH_MIN:
                yield text
