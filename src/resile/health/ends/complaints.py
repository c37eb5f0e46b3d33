"""Find what a process complained of last among the lines that it wrote, and make it fit to be shown. Pure.

What is found goes into the journal and onto pages, and a program may write anything into its log. So what looks
like a password, a token or a key is left out of it, and it is one short line.
"""

import re
from collections.abc import Sequence
from typing import Final

COMPLAINT_LENGTH_MAX: Final = 160
"""Enough for an exception with its message; an incident's title holds it."""
LINES_LOOKED_AT_MAX: Final = 20
"""What stands further above its last line hardly tells why a process ended."""
_LINE_LENGTH_MAX: Final = 2000
"""Nothing of a longer line is looked at behind this: the patterns below must stay quick."""
_HIDDEN: Final = "…"
_COMPLAINT: Final = re.compile(
    r"error|exception|fatal|panic|critical|abort|assert|cannot|could not|failed|failure|refused|denied"
    r"|not found|no such"
    r"|terminate called|what\(\):|double free|corrupt|smashing|out of memory",
    re.IGNORECASE,
)
_TERMINAL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CREDENTIALS: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@]+@", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"(\b[\w-]{0,40}(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|credentials?|authorization)"
    r"['\"]?\s*[=:]\s*)(?:bearer\s+|basic\s+)?[^\s,;]+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"(\bbearer\s+)\S+", re.IGNORECASE)
_OPAQUE: Final = re.compile(r"(?<![\w-])(?=[\w-]{0,200}[0-9])(?=[\w-]{0,200}[A-Za-z])[\w-]{24,}")
"""Letters and digits without a blank, as long as keys are."""


def last_complaint(lines: Sequence[str]) -> str:
    """Give the last of some lines that sounds like a complaint, shown as `shown` does; empty if none does.

    Args:
        lines: Of a log, oldest first; those near the end are looked at.
    """
    for line in reversed(lines[-LINES_LOOKED_AT_MAX:]):
        if _COMPLAINT.search(line[:_LINE_LENGTH_MAX]):
            return shown(line)
    return ""


def shown(text: str) -> str:
    """Make one short line that may be shown of anything that a program has written."""
    plain = _TERMINAL.sub("", text[:_LINE_LENGTH_MAX])
    for pattern in (_CREDENTIALS, _NAMED, _BEARER):
        end = "@" if pattern is _CREDENTIALS else ""
        plain = pattern.sub(rf"\g<1>{_HIDDEN}{end}", plain)
    plain = _OPAQUE.sub(_HIDDEN, plain)
    words = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    if len(words) <= COMPLAINT_LENGTH_MAX:
        return words
    return words[: COMPLAINT_LENGTH_MAX - 1] + "…"
