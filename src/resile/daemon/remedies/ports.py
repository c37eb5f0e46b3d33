"""Which ports a complaint of a taken port names. Pure."""

import re
from collections.abc import Iterator

PORT_MAX = 65535
_NAMED = (
    re.compile(r"\('[^']*', (\d{1,5})(?:, \d+, \d+)?\)"),
    re.compile(r"(?:port|:)\s*[=:]?\s*(\d{1,5})\b", re.IGNORECASE),
)
"""As Python writes an address, and as others do: `port 80`, `127.0.0.1:80`, `:::80`."""


_COMPLAINT = re.compile(r"in use|EADDRINUSE|taken", re.IGNORECASE)
_TIME = re.compile(r"(?<![\d.:])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])")
"""A time of day is no port, although it looks like one."""


def ports_in(text: str) -> Iterator[int]:
    """Yield the ports that a complaint of a taken port names, the likeliest first."""
    for line in filter(_COMPLAINT.search, text.splitlines()):
        timeless = _TIME.sub("", line)
        for pattern in _NAMED:
            for found in pattern.findall(timeless):
                if 0 < int(found) <= PORT_MAX:
                    yield int(found)
