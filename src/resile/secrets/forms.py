"""The forms in which a secret's value shows up in text, and one pattern that finds them all. Pure."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from resile.errors import SecretError
from resile.secrets.value import Secret

LENGTH_MIN: Final = 8
"""What is shorter stands in too many other texts."""
LENGTH_MAX: Final = 4096
"""Of one piece: a longer line is blotted up to here."""
PIECES_MAX: Final = 40
"""Of one secret: a private key of 4,096 bits has some fifty lines, and its first forty will do."""
OPEN_FIELDS: Final = frozenset(
    {"username", "user", "host", "hostname", "port", "dbname", "database", "engine", "region"}
)
"""Fields of a credential that hide nothing, and would make logs useless."""


def forms_of(secret: Secret) -> set[str]:
    """Give all texts that a secret may show up as, of 8 characters or more.

    They are the value, each line of it and each field of a JSON object but those that hide nothing; each
    as it is, as Python and JSON write it, in URLs, and in base64 at any place of a longer text.
    """
    return {
        form for piece in _pieces(secret) for form in _written(piece) if len(form) >= LENGTH_MIN
    }


def pattern_of(forms: Iterable[str]) -> Callable[[str, str], str] | None:
    """Give what replaces all forms in a text; None if there are none.

    The longest come first, so that none leaves the end of another. The first two characters are branches
    of their own: else each place of a text would be tried with hundreds of forms.
    """
    ordered = sorted(set(forms), key=lambda form: (form[:2], -len(form), form))
    if not ordered:
        return None
    by_first: dict[str, dict[str, list[str]]] = {}
    for form in ordered:
        by_second = by_first.setdefault(form[0], {})
        by_second.setdefault(form[1], []).append(re.escape(form[2:]))
    branches = "|".join(
        re.escape(first) + "(?:" + "|".join(_branch(*one) for one in by_second.items()) + ")"
        for first, by_second in by_first.items()
    )
    return re.compile(branches).sub


def _branch(second: str, rests: list[str]) -> str:
    return f"{re.escape(second)}(?:{'|'.join(rests)})"


def _pieces(secret: Secret) -> list[bytes]:
    """Give the parts of a value that hide something."""
    value = secret.reveal_bytes()
    found = [value, *_lines(value)]
    try:
        fields = secret.fields()
    except SecretError:
        fields = {}
    for key, text in fields.items():
        if key.lower() not in OPEN_FIELDS:
            found += [text.encode(errors="surrogatepass"), *_lines(text.encode(errors="replace"))]
    return [piece[:LENGTH_MAX] for piece in found if len(piece) >= LENGTH_MIN][:PIECES_MAX]


def _lines(value: bytes) -> Iterator[bytes]:
    """Give the lines of a value that has several, such as a private key; not what frames them."""
    lines = value.split(b"\n")
    if len(lines) > 1:
        yield from (line.strip() for line in lines if not line.startswith(b"-----"))


def _written(piece: bytes) -> Iterator[str]:
    text = piece.decode(errors="backslashreplace")
    yield text
    yield repr(text)[1:-1]
    yield repr(piece)[2:-1]
    yield json.dumps(text)[1:-1]
    yield quote(piece, safe="")
    yield quote(piece)
    yield quote_plus(piece)
    for offset in range(3):
        core = _base64_at(piece, offset)
        yield core
        yield core.translate(_URL_SAFE)


def _base64_at(piece: bytes, offset: int) -> str:
    """Give the part of base64 that only the piece decides, if it begins at this place modulo 3."""
    encoded = base64.b64encode(bytes(offset) + piece).decode().rstrip("=")
    begin = (0, 2, 3)[offset]
    spare = (offset + len(piece)) % 3
    return encoded[begin : len(encoded) - (1 if spare else 0)]


_URL_SAFE: Final = str.maketrans("+/", "-_")
