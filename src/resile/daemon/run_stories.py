"""What the journal tells of contained runs, folded by run, as the API shows it. Nothing happens here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resile.core.codec import encode
from resile.core.events import (
    RunBegun,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
)
from resile.core.journal import Record
from resile.core.sentences import sentence
from resile.core.vocabulary import RunReason, RunState

if TYPE_CHECKING:
    from resile.contain import RunRecord

RUN_KINDS = ("run.*",)
STORIES_MAX = 300
"""Runs that are remembered: those that are shown, and the open ones that began long ago."""
CLOSED_MAX = 50
"""Shown at once; older ones are in the journal."""
TRIED_MAX = 200
TIMELINE_MAX = 200
_USED = ("time_s", "cpu_s", "memory_max_bytes", "processes_max", "output_bytes", "disk_bytes")


@dataclass(slots=True)
class RunStory:
    """What was told of one run."""

    begun: RunBegun
    began_at: datetime
    ended: RunEnded | None = None
    ended_at: datetime | None = None
    settled_at: datetime | None = None
    settled_by: str = ""
    is_committed: bool = False
    why: str = ""
    """Why it was undone, where that is all that was told."""
    violations: int = 0

    def facts(self) -> dict[str, Any]:
        """Give what is known from the journal alone, of a run that is over."""
        ended = self.ended
        return {
            "id": self.begun.run_id,
            "command": list(self.begun.command),
            "state": RunState.COMMITTED if self.is_committed else RunState.DISCARDED,
            "is_open": False,
            "is_orphan": False,
            "commit": self.begun.commit,
            "profile": self.begun.profile,
            "backend": "",
            "workspaces": list(self.begun.workspaces),
            "supervisor_pid": self.begun.supervisor_pid,
            "began_at": self.began_at.isoformat(),
            "ended_at": _time(self.ended_at),
            "settled_at": _time(self.settled_at),
            "settled_by": self.settled_by,
            "reason": ended.reason if ended else self._reason(),
            "code": ended.code if ended else "",
            "message": (ended.detail if ended else "") or self.why,
            "exit_code": ended.exit_code if ended else None,
            "signal": ended.signal if ended else "",
            "changes": ended.changes if ended else 0,
            "violations": self.violations,
            "limits": dict(self.begun.limits) or None,
            "usage": {name: getattr(ended, name) for name in _USED} if ended else {},
        }

    def _reason(self) -> RunReason | None:
        """Tell why it never ran; None if nobody told its end."""
        return RunReason.LAUNCH_FAILED if self.settled_at else None


class RunStories:
    """The latest runs of a journal. Not thread-safe."""

    def __init__(self) -> None:
        self._stories: dict[str, RunStory] = {}
        """Of the last record that was folded."""

    def add(self, records: Iterable[Record]) -> None:
        """Fold records in order; the oldest runs are forgotten."""
        for record in records:
            self._fold(record)
        while len(self._stories) > STORIES_MAX:
            del self._stories[next(iter(self._stories))]

    def get(self, run_id: str) -> RunStory | None:
        """Give one story."""
        return self._stories.get(run_id)

    def closed(self, *, but: Collection[str]) -> list[dict[str, Any]]:
        """Give the latest runs without those that are open, newest first."""
        newest = [s for run_id, s in reversed(self._stories.items()) if run_id not in but]
        return [story.facts() for story in newest[:CLOSED_MAX]]

    def _fold(self, record: Record) -> None:
        event, payload = record.event, record.event.payload()
        if isinstance(payload, RunBegun):
            self._stories[payload.run_id] = RunStory(begun=payload, began_at=event.at)
            return
        story = self._stories.get(event.correlation_id)
        if story is None:
            return
        if isinstance(payload, RunViolated):
            story.violations += 1
        elif isinstance(payload, RunEnded):
            story.ended, story.ended_at = payload, event.at
            story.violations = max(story.violations, payload.violations)
        elif isinstance(payload, RunCommitted):
            story.is_committed = True
            _settle(story, event.at, payload.who)
        elif isinstance(payload, RunRolledBack):
            # What was committed of a run before the rest was discarded stays committed.
            story.why = payload.why
            _settle(story, event.at, payload.who)


def tell(records: Sequence[Record]) -> dict[str, Any]:
    """Give a run's violations and its timeline from its records, oldest first."""
    tried = [
        {
            "at": payload.seen_at.isoformat(),
            "kind": payload.violation,
            "detail": payload.detail,
            "pid": payload.pid,
            "command": payload.command,
            "decision": payload.decision,
            "source": payload.source,
        }
        for record in records
        if isinstance(payload := record.event.payload(), RunViolated)
    ]
    return {
        "tried": tried[:TRIED_MAX],
        "timeline": [_step(record) for record in records[-TIMELINE_MAX:]],
    }


def open_facts(
    record: Mapping[str, Any], live: Mapping[str, Any], story: RunStory | None
) -> dict[str, Any]:
    """Give what is known of an open run: its record goes before its story, its story before `live`.

    Args:
        record: What `record_facts` took from its record.
        live: What it uses; a run writes that twice a second.
        story: From the journal; None if that tells nothing yet, or it began too long ago.
    """
    facts = story.facts() if story else {}
    used = facts.get("usage", {})
    at_work = record["state"] == RunState.RUNNING
    known = {"tried", "timeline"}
    return {
        "ended_at": None,
        "code": "",
        "exit_code": None,
        "signal": "",
        "violations": 0,
        **{key: value for key, value in facts.items() if key not in known},
        **record,
        "is_open": True,
        "settled_at": None,
        "settled_by": "",
        "usage": dict(live) if at_work else {**_lasting(live), **used},
    }


def record_facts(record: "RunRecord") -> dict[str, Any]:
    """Give what everybody may see of the record of an open run."""
    return {
        "id": record.run_id,
        "command": list(record.command),
        "state": record.state,
        "is_orphan": record.is_orphan,
        "commit": record.commit,
        "profile": record.profile,
        "backend": record.backend,
        "workspaces": list(record.workspaces),
        "supervisor_pid": record.supervisor.pid,
        "began_at": record.began_at.isoformat(),
        "reason": record.reason,
        "message": record.message,
        "changes": record.changes,
        "limits": encode(dict(record.limits)),
    }


def _lasting(live: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what something that has ended does not use any more."""
    return {k: v for k, v in live.items() if k not in ("memory_bytes", "cpu_share")}


def _settle(story: RunStory, at: datetime, who: str) -> None:
    story.settled_at, story.settled_by = at, who


def _step(record: Record) -> dict[str, Any]:
    event = record.event
    return {
        "at": event.at.isoformat(),
        "kind": event.kind,
        "subject": event.subject,
        "text": sentence(event),
        "seq": record.seq,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
