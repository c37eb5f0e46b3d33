"""Uptime bars and availability of services, from their changes of state in the journal.

Rebuilt at each start from the journal (`UPTIME_KINDS`); it needs no checkpoint. What ran on
while a brain was replaced is as it was; between two runs nothing is known, and not claimed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.core.events import BrainStarted, BrainStopped, Event, GuardLost, ServiceChanged
from resile.core.vocabulary import CheckState

UPTIME_KINDS = ("brain.started", "brain.stopped", "guard.lost", "service.changed")
"""What it is folded from: the kinds to read from the journal."""
SLOTS_COUNT = 60
SLOT_S = 60.0
CHANGES_MAX = 5000
"""For each service; at one change a second this is more than the bars of an hour show."""

_WORST_LAST = (
    CheckState.UP,
    CheckState.MAINTENANCE,
    CheckState.DEGRADED,
    CheckState.SUPPRESSED,
    CheckState.DOWN,
)
_WORKING = frozenset({CheckState.UP, CheckState.DEGRADED})
_COUNTED = frozenset({CheckState.UP, CheckState.DEGRADED, CheckState.DOWN, CheckState.SUPPRESSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One slot of time.

    Args:
        began_at: Its beginning, a multiple of its length.
        state: The worst state in it; None if nothing is known.
    """

    began_at: datetime
    state: CheckState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    since: datetime
    state: CheckState | None


class UptimeBook:
    """The states of services over time. Not thread-safe.

    Args:
        slots_count: How many bars.
        slot_s: How long each is, in seconds.
    """

    def __init__(self, *, slots_count: int = SLOTS_COUNT, slot_s: float = SLOT_S) -> None:
        self._slots_count = slots_count
        self._slot_s = slot_s
        self._spans: dict[str, list[_Span]] = {}
        self._last_at: datetime | None = None

    def apply(self, event: Event) -> None:
        """Fold one event; kinds that do not matter here only show that somebody looked."""
        payload = event.payload()
        if isinstance(payload, ServiceChanged):
            self._note(payload.service, event.at, payload.after)
        elif isinstance(payload, BrainStarted) and self._last_at is not None:
            self._note_gap(self._last_at, frozenset(payload.adopted))
        elif isinstance(payload, BrainStopped | GuardLost):
            for service in self._spans:
                self._note(service, event.at, None)
        self._last_at = event.at

    def bars(self, service: str, now: datetime) -> tuple[Bar, ...]:
        """Give the bars of the last slots, oldest first; the last one holds `now`."""
        slot = timedelta(seconds=self._slot_s)
        index = int(now.timestamp() // self._slot_s)
        last = datetime.fromtimestamp(index * self._slot_s, tz=now.tzinfo)
        spans = self._known(service, now)
        begins = [last - slot * back for back in range(self._slots_count - 1, -1, -1)]
        return tuple(Bar(began_at=b, state=_worst(spans, b, b + slot)) for b in begins)

    def availability(self, service: str, now: datetime) -> float | None:
        """Give the share of the time of the bars in which the service worked, 0..1.

        Time in which nothing was known, or that was declared as maintenance, does not count.
        None if no time counts.
        """
        begin = now - timedelta(seconds=self._slots_count * self._slot_s)
        working_s = counted_s = 0.0
        for since, until, state in self._known(service, now):
            seconds = max(0.0, (until - max(since, begin)).total_seconds())
            counted_s += seconds if state in _COUNTED else 0.0
            working_s += seconds if state in _WORKING else 0.0
        return working_s / counted_s if counted_s else None

    def _known(
        self, service: str, now: datetime
    ) -> list[tuple[datetime, datetime, CheckState | None]]:
        spans = self._spans.get(service)
        if spans is None:
            return []
        untils = [span.since for span in spans[1:]] + [now]
        return [(s.since, max(s.since, u), s.state) for s, u in zip(spans, untils, strict=True)]

    def _note(self, service: str, at: datetime, state: CheckState | None) -> None:
        known = None if state is CheckState.UNKNOWN else state
        spans = self._spans.setdefault(service, [])
        if spans and spans[-1].state is known:
            return
        spans.append(_Span(since=at, state=known))
        self._forget(spans, at)

    def _note_gap(self, from_at: datetime, adopted: frozenset[str]) -> None:
        """Claim nothing since the last event of the run before, but for what ran on."""
        for service, spans in self._spans.items():
            if service not in adopted:
                self._note(service, max(from_at, spans[-1].since), None)

    def _forget(self, spans: list[_Span], at: datetime) -> None:
        oldest = at - timedelta(seconds=(self._slots_count + 1) * self._slot_s)
        while len(spans) > 1 and (spans[1].since <= oldest or len(spans) > CHANGES_MAX):
            del spans[0]


def _worst(
    spans: list[tuple[datetime, datetime, CheckState | None]], begin: datetime, end: datetime
) -> CheckState | None:
    """Give the worst known state that overlaps a slot."""
    states = [
        state
        for since, until, state in spans
        if state is not None and since < end and (until > begin or since >= begin)
    ]
    return max(states, key=_WORST_LAST.index, default=None)
