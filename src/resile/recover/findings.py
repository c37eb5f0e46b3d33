"""The small tools of the decisions: what one finds, and the ids of what it decides."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from resile.core.events import Payload
from resile.core.ids import derived_id

Finding = Payload | datetime
"""What a decision yields: a payload that is due now, or a time at which to ask again."""


def digest(*parts: object) -> bytes:
    """Hash what makes a thing unique; equal parts give equal bytes on every machine."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()


def fraction(*parts: object) -> float:
    """Give a number in [0, 1) that looks random and is always the same for equal parts."""
    return int.from_bytes(digest(*parts)[:8], "big") / 2**64


def made_id(prefix: str, at: datetime, *parts: object) -> str:
    """Make an id that a replay makes again."""
    return derived_id(prefix, at=at, seed=digest(prefix, *parts))


def sorted_out(findings: Iterable[Finding]) -> tuple[list[Payload], list[datetime]]:
    """Part payloads from times."""
    payloads: list[Payload] = []
    times: list[datetime] = []
    for finding in findings:
        if isinstance(finding, datetime):
            times.append(finding)
        else:
            payloads.append(finding)
    return payloads, times
