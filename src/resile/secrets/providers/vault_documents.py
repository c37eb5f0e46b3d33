"""How a value stands in Vault's KV engine, whose documents are JSON objects. Pure.

A text is `{"value": ...}` and other bytes are `{"value_base64": ...}`. A value that is a JSON object is the
document itself, so that other clients see `username` and `password`; it comes back as the same object,
with its fields in the order in which the server has them.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from resile.errors import SecretDamagedError

_TEXT = "value"
_BYTES = "value_base64"


def document_of(value: bytes) -> dict[str, Any]:
    """Write a value as a document."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {_BYTES: base64.b64encode(value).decode()}
    return _object_in(text) or {_TEXT: text}


def value_of(name: str, fields: Mapping[str, Any]) -> bytes:
    """Read the value of a document, whoever has written it.

    Raises:
        SecretDamagedError: If it says that it holds bytes, and does not.
    """
    match dict(fields):
        case {"value": str(text), **others} if not others:
            return text.encode()
        case {"value_base64": str(text), **others} if not others:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                # Not chained: its own words may hold a piece of the value.
                raise SecretDamagedError(
                    f"secret {name!r} holds no base64 in {_BYTES!r}", hint="put it anew"
                ) from None
    return json.dumps(fields, ensure_ascii=False).encode()


def _object_in(text: str) -> dict[str, Any]:
    """Give the fields of a text that can stand as a document and come back; else none."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        is_whole = isinstance(found, dict) and set(found) not in ({_TEXT}, {_BYTES})
        if is_whole:
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return {}
    return found if is_whole else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse fields that are there twice: a server would keep one of them."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
