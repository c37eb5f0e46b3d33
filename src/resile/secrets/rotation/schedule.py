"""Say when a secret is to be rotated, and what follows from a rotation that has ended. Pure.

An interval has up to a tenth of jitter, that a secret keeps, so that what was declared together is not
rotated together for ever. It counts from the last rotation, or from when the secret was first seen: what
was missed is done once, and a secret that is new to us is not rotated for its age.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.secrets.rotation.model import DAY_S, Entry, Owed, Record, RotationSpec
from resile.secrets.rotation.rules import next_by_rule

JITTER: Final = 0.1
FAILED_WAIT_S_MIN, FAILED_WAIT_S_MAX = 3600.0, DAY_S
"""After a scheduled rotation that was aborted; twice as long each time. Somebody was told."""
REPEATS_MAX: Final = 8
REPEAT_WAIT_S: Final = 60.0
REPEAT_WAIT_S_MAX: Final = REPEAT_WAIT_S * 2.0**REPEATS_MAX
"""A compromised credential is tried again for four hours: 1, 2, 4... minutes."""


def next_at(name: str, spec: RotationSpec, entry: Entry) -> datetime | None:
    """Tell when a secret is to be rotated next; None if its rule never comes again."""
    since = entry.last_at or entry.seen_at
    if spec.rule:
        anchor = entry.seen_at.replace(hour=0, minute=0, second=0, microsecond=0)
        planned = next_by_rule(spec.rule, anchor, since)
    else:
        planned = since + timedelta(seconds=spec.every_s * (1 + JITTER * leaning(name)))
    if planned is None or entry.retry_at is None:
        return planned
    return max(planned, entry.retry_at)


def due(
    specs: Mapping[str, RotationSpec], entries: Mapping[str, Entry], now: datetime
) -> tuple[str, ...]:
    """Give the secrets whose time has come, the most overdue first."""
    planned = ((next_at(name, spec, entries[name]), name) for name, spec in specs.items())
    return tuple(name for at, name in sorted((at, name) for at, name in planned if at) if at <= now)


def leaning(name: str) -> float:
    """Give a number of -1 to 1 that a name always has."""
    digest = blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / (1 << 63) - 1


def entry_after(entry: Entry, record: Record, *, at: datetime) -> Entry:
    """Give what the schedule knows after a rotation has ended."""
    if record.outcome is not RotationOutcome.ABORTED:
        return replace(entry, last_at=at, failures=0, retry_at=None)
    if record.reason is not RotationReason.SCHEDULED:
        return entry
    wait_s = min(FAILED_WAIT_S_MIN * 2.0 ** min(entry.failures, 10), FAILED_WAIT_S_MAX)
    return replace(entry, failures=entry.failures + 1, retry_at=at + timedelta(seconds=wait_s))


def entry_at(entry: Entry, now: datetime) -> Entry:
    """Give what the schedule knows, without what a clock wrote that was ahead, and was set back since."""
    last_at, retry_at = entry.last_at, entry.retry_at
    if retry_at is not None:
        retry_at = min(retry_at, now + timedelta(seconds=FAILED_WAIT_S_MAX))
    return replace(
        entry,
        seen_at=min(entry.seen_at, now),
        last_at=None if last_at is None else min(last_at, now),
        retry_at=retry_at,
    )


def owed_after(record: Record, dependents: Iterable[str], *, at: datetime) -> tuple[Owed, ...]:
    """Give the rotations that follow from one that has ended: of a compromised secret alone.

    What depends on it is rotated, too; what was aborted is tried again.
    """
    if record.reason is not RotationReason.COMPROMISE:
        return ()
    if record.outcome is RotationOutcome.ABORTED:
        if record.repeats >= REPEATS_MAX:
            return ()
        wait_s = REPEAT_WAIT_S * 2.0**record.repeats
        return (_owed(record, record.name, record.why, at + timedelta(seconds=wait_s)),)
    if record.outcome is not RotationOutcome.ROTATED or record.is_dependent:
        return ()
    why = f"{record.name}, on which it depends, is compromised"
    return tuple(
        replace(_owed(record, name, why, at), repeats=0, is_dependent=True) for name in dependents
    )


def closure(name: str, dependents: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Give what depends on a secret, directly or by others; each once."""
    found: list[str] = []
    left = [name]
    while left:
        fresh = [one for one in dependents(left.pop()) if one != name and one not in found]
        found += dict.fromkeys(fresh)
        left += fresh
    return tuple(found)


def _owed(record: Record, name: str, why: str, due_at: datetime) -> Owed:
    return Owed(
        name=name,
        due_at=due_at,
        reason=RotationReason.COMPROMISE,
        who=record.who,
        why=why,
        deadline_s=record.deadline_s,
        repeats=record.repeats + 1,
        is_dependent=record.is_dependent,
    )
