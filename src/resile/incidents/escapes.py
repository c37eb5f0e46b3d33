"""Tell from the records of contained runs which of them tried what their sandbox prevents. Pure.

Runs are journalled by the processes that watch them. Whoever reads those records gets here what is
to be journalled about them: one notice for each run, another one if it turns out graver, and its end.

Gravity: what ended the run is P1 (it tried to get out); what it left behind for others to trip over
(setuid bits, devices, links that lead out, changes of what others execute) is P2; whatever else the
sandbox refused is P3. A process that merely ran on when the command had ended tried nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from resile.core.events import (
    EscapeContained,
    EscapeNoticed,
    Payload,
    RunBegun,
    RunBreached,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
    Tried,
)
from resile.core.journal.port import Record
from resile.core.vocabulary import Priority, RunReason, ViolationKind
from resile.incidents.book import IncidentBook
from resile.incidents.model import is_more_urgent, most_urgent

ESCAPE_KINDS = (
    "run.breached",
    "run.committed",
    "run.ended",
    "run.rolled_back",
    "run.violated",
)
"""What is to be read from the journal."""
EVIDENCE_MAX = 20
"""Kept of one notice; the journal has all of it."""
_DETAIL_LENGTH_MAX = 200
UNNAMED_PROFILE = "own-limits"
"""What stands for the profile of a run whose limits were given one by one."""
_LEFT_BEHIND = (
    ViolationKind.SETUID_BIT,
    ViolationKind.DEVICE,
    ViolationKind.ESCAPING_LINK,
    ViolationKind.PROTECTED_PATH,
)


@dataclass(slots=True)
class _Seen:
    """What some records tell of one run."""

    tried: list[Tried] = field(default_factory=list)
    priority: Priority | None = None
    """None: nothing that counts."""
    reason: str = ""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    ended: RunReason | None = None

    def note(self, priority: Priority, at: datetime, reason: str) -> None:
        self.began_at = self.began_at or at
        if self.priority is None or is_more_urgent(priority, self.priority):
            self.priority, self.reason = priority, reason


def suspects(records: Sequence[Record], book: IncidentBook) -> tuple[str, ...]:
    """List the runs of which something is to be told, to look up how they began."""
    return tuple(run_id for run_id, seen in _seen(records).items() if _is_told(book, run_id, seen))


def escapes_in(
    records: Sequence[Record], book: IncidentBook, *, begun: Mapping[str, RunBegun]
) -> tuple[EscapeNoticed | EscapeContained, ...]:
    """Tell what is to be journalled about some records of runs.

    Read again after a crash, the same records give the same or less: the book knows what was told.

    Args:
        records: Of `ESCAPE_KINDS`, in the journal's order, from the book's `read_seq` on.
        book: What is known.
        begun: How the suspects among them began, as far as the journal still knows.
    """
    payloads = [
        payload
        for run_id, seen in _seen(records).items()
        if _is_told(book, run_id, seen)
        for payload in _told(book, run_id, seen, begun.get(run_id))
    ]
    # Only the last says how far was read: a crash may cut off what comes behind another one.
    return (
        *payloads[:-1],
        *(replace(payload, read_seq=records[-1].seq) for payload in payloads[-1:]),
    )


def _seen(records: Sequence[Record]) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for record in records:
        seen = found.setdefault(record.event.correlation_id, _Seen())
        _take(seen, record.event.payload(), record.event.at)
    return found


def _take(seen: _Seen, payload: Payload | None, at: datetime) -> None:
    if isinstance(payload, RunViolated) and payload.violation is not ViolationKind.SURVIVOR:
        detail = payload.detail[:_DETAIL_LENGTH_MAX]
        seen.note(_gravity(payload), payload.seen_at, f"{payload.violation} {detail}".strip())
        seen.tried.append(
            Tried(
                at=payload.seen_at,
                violation=payload.violation,
                detail=detail,
                pid=payload.pid,
                command=payload.command,
                decision=payload.decision,
            )
        )
    elif isinstance(payload, RunBreached) and payload.reason is RunReason.VIOLATION:
        seen.note(Priority.P1, at, _killed_for(payload.detail))
    elif isinstance(payload, RunEnded):
        seen.ended, seen.ended_at = payload.reason, at
        if payload.reason is RunReason.VIOLATION:
            seen.note(Priority.P1, at, _killed_for(payload.detail))
    elif isinstance(payload, RunCommitted | RunRolledBack):
        seen.ended_at = seen.ended_at or at


def _killed_for(detail: str) -> str:
    """Shorten what the run itself was told, for a title."""
    what = detail.partition(";")[0].removeprefix("tried ")[:_DETAIL_LENGTH_MAX]
    return f"{what}; it was killed"


def _gravity(payload: RunViolated) -> Priority:
    return Priority.P2 if payload.violation in _LEFT_BEHIND else Priority.P3


def _is_told(book: IncidentBook, run_id: str, seen: _Seen) -> bool:
    """Tell whether a run is news: it tried something, it got worse, or its end was waited for."""
    known = book.faults.get(run_id)
    if known is None:
        is_old = any(run_id in incident.faults for incident in book.incidents.values())
        return seen.priority is not None and not is_old
    is_worse = seen.priority is not None and is_more_urgent(seen.priority, known.priority)
    return known.is_open and (is_worse or seen.ended_at is not None)


def _told(
    book: IncidentBook, run_id: str, seen: _Seen, begun: RunBegun | None
) -> Iterator[EscapeNoticed | EscapeContained]:
    known = book.faults.get(run_id)
    profile = (begun.profile if begun else "") or UNNAMED_PROFILE
    target = known.target if known else f"profile/{profile}"
    priority = seen.priority or Priority.P3
    is_news = known is None or is_more_urgent(priority, known.priority)
    if is_news and seen.began_at is not None:
        yield EscapeNoticed(
            run_id=run_id,
            target=target,
            command=begun.command if begun else (),
            priority=priority,
            began_at=seen.began_at,
            reason=seen.reason,
            tried=tuple(seen.tried[:EVIDENCE_MAX]),
            count=len(seen.tried),
        )
    if seen.ended_at is not None:
        yield EscapeContained(
            run_id=run_id,
            target=target,
            priority=priority if known is None else most_urgent(priority, known.priority),
            ended_at=seen.ended_at,
            reason=seen.ended,
        )
