"""Durations, sizes and shares as people write them: "30s", "2GiB", "50%".

Durations become float seconds, sizes become int bytes, shares become a float where 1.0 is 100 %.
Every parser raises ValueError with what was expected; every formatter's output parses back.
"""

import re
from math import inf, isfinite
from typing import Final

_DURATION_UNITS_S: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIZE_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_DURATION_PART: Final = r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)"
"""This one and the next are compiled, and then kept, by the first text: many only format."""
_SIZE: Final = r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)"
_PERCENT: Final = r"(\d+(?:\.\d+)?)\s*%"
_RANGE_SEPARATOR = ".."


def parse_duration(text: str | float) -> float:
    """Read "250ms", "1m30s", "2h" or a number of seconds; give seconds, 0 or more.

    Raises:
        ValueError: If the text is not a duration, or is negative or not finite.
    """
    if not isinstance(text, str):
        return _checked_seconds(float(text), str(text))
    compact = text.replace(" ", "")
    parts = re.findall(_DURATION_PART, compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f'{text!r} is not a duration; write "250ms", "10s", "1m30s" or "2h"')
    seconds = sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts)
    return _checked_seconds(seconds, text)


def parse_duration_range(text: str | float) -> tuple[float, float]:
    """Read "200ms..10s", or one duration for both ends; give seconds, first not above second.

    Raises:
        ValueError: If either end is not a duration, or the first is longer than the second.
    """
    if not isinstance(text, str) or _RANGE_SEPARATOR not in text:
        seconds = parse_duration(text)
        return seconds, seconds
    low_text, _, high_text = text.partition(_RANGE_SEPARATOR)
    low, high = parse_duration(low_text), parse_duration(high_text)
    if low > high:
        raise ValueError(f"{text!r} starts above its end; write the shorter duration first")
    return low, high


def parse_size(text: str | int) -> int:
    """Read "512MiB", "1GB" or a number of bytes; give bytes, 0 or more.

    Raises:
        ValueError: If the text is not a size.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = re.fullmatch(_SIZE, str(text).strip())
    if match is None:
        raise ValueError(f'{text!r} is not a size; write "512MiB", "2GiB", "1GB" or bytes')
    number, unit = match.groups()
    size = float(number) * _SIZE_UNITS[unit]
    if not isfinite(size):
        raise ValueError(f"{text!r} is not a size that a computer could have")
    return int(size)


def parse_share(text: str | float) -> float:
    """Read "50%" or 0.5; give 0.5. More than 100 % is a share of several cores.

    Raises:
        ValueError: If the text is not a share, or is negative.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and 0 <= text < inf:
        return float(text)
    match = re.fullmatch(_PERCENT, str(text).strip())
    if match is None or not isfinite(float(match.group(1))):
        raise ValueError(f'{text!r} is not a share; write "50%" or "150%"')
    return float(match.group(1)) / 100


def format_duration(seconds: float) -> str:
    """Write seconds in the largest unit that keeps them readable: "250ms", "1m30s", "2h"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def format_size(size: int) -> str:
    """Write bytes in the largest binary unit that is not above them: "1.5GiB"."""
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.1f}".removesuffix(".0") + unit
    return f"{size}B"


def _checked_seconds(seconds: float, text: str) -> float:
    if not 0 <= seconds < inf:
        raise ValueError(f"{text!r} is not a duration of 0 seconds or more")
    return seconds
