"""Tell a drill again from the journal, with what happened in each of its scenarios. Pure.

The scenarios of a drill run one after the other: what stands between the ends of two of them, from the moment on at which
the second one's fault was injected, is the story of the second.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from resile.core.events import DrillProved, Event, FaultInjected
from resile.core.sentences import sentence
from resile.drill.history import PastDrill, Told
from resile.drill.model import CellResult, Drill, Moment

RECORDS_MAX = 50_000
"""Of the journal, for one drill: a drill of a hundred scenarios under load writes a tenth of it."""
MOMENTS_MAX = 60
"""In one scenario: the first of them, as they tell how it was noticed and mended."""
QUIET = (
    "brain.checkpointed",
    "drill.",
    "heartbeat.",
    "journal.",
    "policy.",
    "secret.accessed",
    "service.notified",
    *("snapshot.forgotten", "snapshot.taken", "store.collected", "store.replicated"),
)
"""What tells nothing about a scenario; much of it is what the load leaves."""
RUN, TROUBLED = "run.", ("run.breached", "run.violated")
"""The load may be runs: only those are told of with which something was wrong."""


def retell(past: PastDrill, events: Iterable[Event]) -> Drill:
    """Tell a drill again.

    Args:
        past: What is known of it.
        events: What the journal has from its beginning on, the oldest first; what is behind its end is not looked at.
    """
    stories = _stories(past, events)
    results = tuple(_result(told, stories.get(told.result.cell, ())) for told in past.results)
    return Drill(
        id=past.drill_id,
        who=past.who,
        began_at=past.began_at,
        ended_at=past.ended_at or past.last_at,
        results=results,
        why=past.end.why if past.end else "",
    )


def _stories(past: PastDrill, events: Iterable[Event]) -> dict[str, Sequence[Event]]:
    """Sort events by the scenario that they belong to."""
    stories: dict[str, Sequence[Event]] = {}
    current: list[Event] = []
    for event in events:
        if event.kind == DrillProved.kind and event.correlation_id == past.drill_id:
            stories[str(event.body.get("cell", ""))] = tuple(_telling(current))
            current = []
        elif not event.kind.startswith(QUIET):
            current.append(event)
    return stories


def _result(told: Told, story: Sequence[Event]) -> CellResult:
    found = told.result
    began_at, own = _from_injection(story)
    return CellResult(
        cell=found.cell,
        scenario=found.scenario,
        fault=found.fault,
        target=found.target,
        verdict=found.verdict,
        detected_s=found.detected_s,
        recovered_s=found.recovered_s,
        recovery_s_max=found.recovery_s_max,
        acked=found.acked,
        lost=found.lost,
        failed=found.failed,
        why=found.why,
        began_at=began_at,
        timeline=_moments(own),
    )


def _from_injection(story: Sequence[Event]) -> tuple[datetime | None, Sequence[Event]]:
    """Leave out what came before the fault: the end of what the scenario before had stirred up."""
    for place, event in enumerate(story):
        if event.kind == FaultInjected.kind:
            return event.at, story[place:]
    return None, story


def _telling(events: Sequence[Event]) -> Iterator[Event]:
    """Leave out runs that ended well."""
    troubled = {event.subject for event in events if event.kind in TROUBLED}
    for event in events:
        if not event.kind.startswith(RUN) or event.subject in troubled:
            yield event


def _moments(events: Iterable[Event]) -> tuple[Moment, ...]:
    moments: list[Moment] = []
    for event in events:
        if len(moments) == MOMENTS_MAX:
            break
        if text := sentence(event):
            moments.append(Moment(at=event.at, text=text))
    return tuple(moments)
