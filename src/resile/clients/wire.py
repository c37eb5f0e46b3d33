"""The words between a user's process and the daemon: JSON objects, one in a line, all bounded.

A process says, first who it is, then what it has:

    {"v": 1, "program": "app.py"}                         once, before all else
    {"publish": TOPIC, "value": ...}                      the state of something; the last one counts
    {"send": TOPIC, "values": [...], "lost": 0}           things that happened, in order
    {"done": ORDER, "error": ""}                          an order was carried out, or was not
    {}                                                    nothing new, but it lives

The daemon says:

    {"v": 1}                                              welcome
    {"order": ORDER, "topic": TOPIC, "value": ...}        do this, and say when it is done
    {"refused": WHY}                                      and hangs up

Both ends take nothing from the other on trust: what is too long, no JSON, or no number ends the
connection. Source: RFC 8259 for JSON; it knows neither NaN nor infinity.
"""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NoReturn

VERSION: Final = 1
SOCKET_NAME: Final = "lane.sock"
LINE_BYTES_MAX: Final = 1 << 20
"""Five hundred guards with long names and long reasons fit in."""
GUARDS_MAX: Final = 500
"""Of one process, in the value of the topic `policies`."""
TEXT_LENGTH_MAX: Final = 300
HEARTBEAT_S: Final = 10.0
"""A process that has nothing to say says so after this time."""
SILENCE_S_MAX: Final = 60.0
"""Who is silent for longer is stopped or hangs; it is heard again when it goes on."""

_TOPIC = re.compile(r"[a-z][a-z_]{0,31}")
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
"""They would move the cursor of a terminal that shows them."""


class WireError(ValueError):
    """What came over the line is none of these words."""


def to_line(message: Mapping[str, Any]) -> bytes:
    """Write a message as one line.

    Raises:
        WireError: If it is longer than a line may be, or is no JSON.
    """
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as exc:
        raise WireError(f"it cannot be written as JSON: {exc}") from exc
    line = text.encode(errors="replace") + b"\n"
    if len(line) > LINE_BYTES_MAX:
        raise WireError(f"it has {len(line)} bytes, and a line may have {LINE_BYTES_MAX}")
    return line


def from_line(line: bytes) -> dict[str, Any]:
    """Read a message from one line.

    Raises:
        WireError: If it is no JSON object, or holds a number that is none.
    """
    try:
        message = json.loads(line, parse_float=_finite, parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        raise WireError(f"it is no JSON: {str(exc)[:TEXT_LENGTH_MAX]}") from exc
    if not isinstance(message, dict):
        raise WireError("it is no JSON object")
    return message


class Lines:
    """Puts what was received together to messages. Not thread-safe."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take bytes; give the messages that they complete.

        Raises:
            WireError: If a line is too long, or is none of ours.
        """
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        if len(rest) > LINE_BYTES_MAX or any(len(line) > LINE_BYTES_MAX for line in lines):
            raise WireError(f"a line has more than {LINE_BYTES_MAX} bytes")
        return [from_line(bytes(line)) for line in lines]


def is_topic(name: object) -> bool:
    """Tell whether something may name a topic: up to 32 lower-case letters and underscores."""
    return isinstance(name, str) and _TOPIC.fullmatch(name) is not None


def text_of(value: object, *, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Give text from outside as one that can be kept and shown: clipped, in one line, encodable."""
    text = value if isinstance(value, str) else ""
    return text[:length_max].translate(_CONTROLS).encode(errors="replace").decode()


def number_of(value: object, *, high: float = 1e15) -> float:
    """Give a number from outside, not below 0 and not above `high`; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(min(max(value, 0), high))


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise WireError(f"{text[:20]} is too large for a number")
    return number


def _no_number(text: str) -> NoReturn:
    raise WireError(f"{text} is no number")
