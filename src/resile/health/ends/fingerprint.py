"""Tell equal crashes from different ones: by what ended the process, where it was, and what it complained of. Pure.

Line numbers, addresses, numbers, quoted text and paths differ from crash to crash of one problem, and are left out.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from resile.core.vocabulary import EndKind

_LENGTH: Final = 12
"""Hexadecimal digits: of a million problems, two meet with a probability of 2 in 1000."""
_NOISE: Final = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "#"),
    (re.compile(r"0x[0-9a-f]+", re.IGNORECASE), "#"),
    (re.compile(r"\"[^\"]*\"|'[^']*'"), "''"),
    (re.compile(r"(?<![\w:])/[^\s,;:)\]]+"), "/"),
    (re.compile(r"[0-9a-f]*[0-9][0-9a-f]*", re.IGNORECASE), "#"),
    (re.compile(r"#([-.:/, ]*#)+"), "#"),
)


def fingerprint(
    kind: EndKind,
    *,
    exit_code: int | None,
    signal: str,
    frames: Sequence[str] = (),
    error: str = "",
    check: str = "",
) -> str:
    """Name a problem; equal crashes have equal names, in every service and after every restart.

    Args:
        kind: Why the process ended.
        exit_code: None if a signal ended it.
        signal: Its name.
        frames: Where it was, the innermost first.
        error: What it complained of last.
        check: What was seen of its hang.
    """
    # What hung is ended by whatever resile sends; what its check said differs each time.
    how = () if check else (str(exit_code), signal)
    parts = (kind.value, *how, *frames, normalised(error), normalised(check))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_LENGTH]


def normalised(text: str) -> str:
    """Give what a message has in common with others of its sort."""
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return text.strip().lower()
