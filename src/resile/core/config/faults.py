"""One fault in a configuration: where it is, what is wrong, what to write instead."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

_NAMES_SHOWN_MAX = 20
"""More names than that hide the message that they should explain."""

Path = tuple[str | int, ...]
"""Where a key stands: `("service", "api", "ready", "interval")`; a list's items by index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with one key.

    Args:
        path: The key.
        message: What is so, without the key's name.
        hint: What to write instead; empty if the message says it.
    """

    path: Path
    message: str
    hint: str = ""


def fault(message: str, *, hint: str = "") -> PydanticCustomError:
    """Make the error that a validator raises, so that its hint travels with it."""
    return PydanticCustomError("resile", "{message}", {"message": message, "hint": hint})


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the known word that is most like this one; empty if none is."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Give the hint for an unknown word: the nearest known one, else all of them."""
    names = sorted(known)
    match = nearest(word, names)
    if match:
        return f'did you mean "{match}"?'
    rest = ", ..." if len(names) > _NAMES_SHOWN_MAX else ""
    return f"known here: {', '.join(names[:_NAMES_SHOWN_MAX])}{rest}" if names else otherwise


def quoted(value: object) -> str:
    """Write a value as it would stand in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
