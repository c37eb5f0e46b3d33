"""Which check is due, which one is being looked at, and what is known of each: no threads, no clock.

`Scheduler` puts threads around it. Times come in as a `Moment`; nothing here waits.

Two rhythms: every check has its regular slot (`schedule.py`). While a check of a service that was
just started is UNKNOWN, extra looks lie in between, so that readiness is seen soon after it is
there. A check of no service has one extra look at the very beginning. A bad extra look counts for
nothing: only regular ones can make a service DOWN.

A look that times out may end right after the next slot, as its time-out may be the whole interval. It is
made up for at once then: else a hang would take twice as many intervals to be seen.

Source of the token: a late result of an old process must not speak for the new one.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from resile.core.events import CheckChanged
from resile.core.vocabulary import CheckGroup, CheckState
from resile.health.decide import advance, graded, reset
from resile.health.model import CheckKind, CheckResult, CheckSpec, Streak
from resile.health.schedule import first_delay_s, next_delay_s

EXTRA_INTERVAL_S = 0.075
"""Between two extra looks: readiness is then seen some 40 ms late on average."""
COSTLY_EXTRA_INTERVAL_S = 0.5
"""The same for kinds that start a process or open a database session for each look."""
EXTRA_FOR_S = 30.0
"""So long after a start; a service that needs longer is seen in the regular rhythm."""
SLOW_LOOK_S = 0.25
"""A check whose last look took this long is slow: see `workers.py`."""

_GOOD = (CheckState.UP, CheckState.DEGRADED)
_COSTLY_KINDS = frozenset({CheckKind.COMMAND, CheckKind.POSTGRES})
_HEAP_SLACK = 4
"""The heap is rebuilt when it holds so many entries a check: most of them are then outdated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on both clocks: `at` to stamp and to find the slot, `monotonic_s` to measure."""

    at: datetime
    monotonic_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A look to be made. `token` tells whether it still matters when it ends."""

    spec: CheckSpec
    token: int
    is_slow: bool


@dataclass(slots=True)
class _Entry:
    spec: CheckSpec
    streak: Streak = field(default_factory=Streak)
    token: int = 0
    is_paused: bool = False
    is_idle: bool = False
    """It belongs to a service that does not run."""
    regular_s: float = inf
    extra_s: float = inf
    extra_until_s: float = -inf
    is_in_flight: bool = False
    is_counted: bool = True
    """The look in flight stands for a regular slot."""
    begun_s: float | None = None
    is_owed: bool = False
    """A slot came while the look in flight was within its time-out."""
    is_slow: bool = False
    was_good: bool = False
    """It has been seen to work since its service's process started, or may have been."""

    @property
    def due_s(self) -> float:
        return min(self.regular_s, self.extra_s)


class Agenda:
    """The state of all checks. Not thread-safe: the scheduler holds a lock around it.

    Args:
        specs: The checks; ids must be unique.
        now: The checks of no service are due within one interval from here. Those of a service
            wait for its start.
    """

    def __init__(self, specs: Iterable[CheckSpec], *, now: Moment) -> None:
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, str]] = []
        for spec in specs:
            if spec.id in self._entries:
                raise AssertionError(f"two checks are called {spec.id!r}")
            self._entries[spec.id] = _Entry(spec=spec, is_idle=bool(spec.service))
        for entry in self._entries.values():
            self._begin_rhythm(entry, now)
            if not entry.is_idle:
                # A page that says UNKNOWN for a whole interval helps nobody.
                entry.extra_s = now.monotonic_s
                self._push(entry)

    # What is known ------------------------------------------------------------------------------

    def streaks(self) -> dict[str, Streak]:
        """Give where every check stands."""
        return {check: entry.streak for check, entry in self._entries.items()}

    def results(self) -> dict[str, CheckResult]:
        """Give the latest result of every check that has one."""
        return {c: e.streak.last for c, e in self._entries.items() if e.streak.last is not None}

    def restore(self, streaks: Mapping[str, Streak]) -> None:
        """Take over where checks stood before; ids that are no checks any more are left out."""
        for check, streak in streaks.items():
            if check in self._entries:
                entry = self._entries[check]
                entry.streak, entry.was_good = streak, streak.state is not CheckState.UNKNOWN

    # When to look -------------------------------------------------------------------------------

    def next_due_s(self) -> float:
        """Tell the monotonic time at which something is due; infinity if nothing is."""
        while self._heap and self._is_outdated(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def take_due(self, now: Moment) -> tuple[list[Job], list[CheckChanged]]:
        """Give the looks to start now, and what changed because an earlier look still runs."""
        jobs: list[Job] = []
        changes: list[CheckChanged] = []
        while self.next_due_s() <= now.monotonic_s:
            _, check = heapq.heappop(self._heap)
            entry = self._entries[check]
            is_regular = entry.regular_s <= now.monotonic_s
            self._plan_next(entry, now, is_regular=is_regular)
            if not entry.is_in_flight:
                entry.is_in_flight, entry.is_counted = True, is_regular
                jobs.append(Job(spec=entry.spec, token=entry.token, is_slow=entry.is_slow))
            elif is_regular:
                entry.is_counted = True
                entry.is_owed = _is_looking(entry, now)
                changes += self._overdue(entry, now)
        return jobs, changes

    def begin(self, job: Job, now: Moment) -> bool:
        """Note that a worker starts to look; False if nobody wants to know any more."""
        entry = self._entries[job.spec.id]
        if job.token != entry.token:
            entry.is_in_flight = False
            return False
        entry.begun_s = now.monotonic_s
        return True

    def finish(self, job: Job, result: CheckResult) -> tuple[bool, list[CheckChanged]]:
        """Fold what a look saw; tell whether it still mattered, and what changed."""
        entry = self._entries[job.spec.id]
        is_owed = entry.is_owed
        entry.is_in_flight, entry.begun_s, entry.is_owed = False, None, False
        entry.is_slow = result.latency_s >= SLOW_LOOK_S
        if job.token != entry.token:
            return False, []
        is_good = graded(result, entry.spec) in _GOOD
        if is_owed and not is_good:
            entry.regular_s = -inf
            self._push(entry)
        if not entry.is_counted and not is_good:
            entry.streak = replace(entry.streak, last=result)
            return True, []
        return True, self._advance(entry, result)

    # Who is looked at ---------------------------------------------------------------------------

    def service_started(self, service: str, now: Moment, *, at: datetime) -> list[CheckChanged]:
        """Forget the old process, and look at the new one often until it is ready."""
        changes: list[CheckChanged] = []
        for entry in self._of(service):
            changes += self._reset(entry, at=at, reason="a new process started")
            entry.is_idle = False
            entry.extra_until_s = now.monotonic_s + EXTRA_FOR_S
            self._begin_rhythm(entry, now)
        return changes

    def service_adopted(self, service: str, now: Moment) -> None:
        """Go on with a process that runs already: what is known of it stays known."""
        for entry in self._of(service):
            entry.is_idle = False
            entry.extra_until_s = now.monotonic_s + EXTRA_FOR_S
            self._begin_rhythm(entry, now)

    def service_ready(self, service: str, now: Moment) -> list[CheckChanged]:
        """Forget what live checks said while a service was on its way up, if that was nothing good.

        From here on they prove that its process hangs, so they are looked at often until they have
        seen it work.
        """
        changes: list[CheckChanged] = []
        for entry in self._of(service):
            if entry.spec.group is CheckGroup.LIVE and not entry.was_good:
                changes += self._reset(entry, at=now.at, reason="the service became ready")
                entry.extra_until_s = now.monotonic_s + EXTRA_FOR_S
                self._begin_rhythm(entry, now)
        return changes

    def service_stopped(self, service: str, now: Moment) -> list[CheckChanged]:
        """Stop looking at a service, and know nothing of it."""
        changes: list[CheckChanged] = []
        for entry in self._of(service):
            changes += self._reset(entry, at=now.at, reason="the service does not run")
            entry.is_idle = True
            self._begin_rhythm(entry, now)
        return changes

    def pause(self, check: str, now: Moment) -> list[CheckChanged]:
        """Stop looking at a check until it is resumed. Idempotent."""
        entry = self._entries[check]
        if entry.is_paused:
            return []
        entry.is_paused = True
        self._begin_rhythm(entry, now)
        return self._reset(entry, at=now.at, reason="the check is paused")

    def resume(self, check: str, now: Moment) -> None:
        """Look at a paused check again, from nothing. Idempotent."""
        entry = self._entries[check]
        if entry.is_paused:
            entry.is_paused = False
            self._begin_rhythm(entry, now)

    # Helpers ------------------------------------------------------------------------------------

    def _of(self, service: str) -> list[_Entry]:
        return [entry for entry in self._entries.values() if entry.spec.service == service]

    def look_again(self, now: Moment) -> None:
        """Have every check looked at once more, beside its rhythm."""
        for entry in self._entries.values():
            if not entry.is_paused and not entry.is_idle:
                entry.extra_s = now.monotonic_s
                self._push(entry)

    def _begin_rhythm(self, entry: _Entry, now: Moment) -> None:
        entry.regular_s = entry.extra_s = inf
        if entry.is_paused or entry.is_idle:
            return
        spec = entry.spec
        delay_s = first_delay_s(spec.id, spec.interval_s, now.at.timestamp())
        entry.regular_s = now.monotonic_s + delay_s
        if _wants_extra(entry, now):
            entry.extra_s = now.monotonic_s
        self._push(entry)

    def _plan_next(self, entry: _Entry, now: Moment, *, is_regular: bool) -> None:
        spec = entry.spec
        if is_regular:
            delay_s = next_delay_s(spec.id, spec.interval_s, now.at.timestamp())
            entry.regular_s = now.monotonic_s + delay_s
        is_costly = spec.kind in _COSTLY_KINDS
        extra_s = COSTLY_EXTRA_INTERVAL_S if is_costly else EXTRA_INTERVAL_S
        entry.extra_s = now.monotonic_s + extra_s if _wants_extra(entry, now) else inf
        self._push(entry)

    def _push(self, entry: _Entry) -> None:
        heapq.heappush(self._heap, (entry.due_s, entry.spec.id))
        if len(self._heap) > _HEAP_SLACK * len(self._entries):
            self._heap = [(e.due_s, c) for c, e in self._entries.items() if e.due_s < inf]
            heapq.heapify(self._heap)

    def _is_outdated(self, due_s: float, check: str) -> bool:
        return self._entries[check].due_s != due_s

    def _reset(self, entry: _Entry, *, at: datetime, reason: str) -> list[CheckChanged]:
        entry.token += 1
        entry.was_good = False
        entry.streak, change = reset(entry.streak, entry.spec, at=at, reason=reason)
        return [] if change is None else [change]

    def _overdue(self, entry: _Entry, now: Moment) -> list[CheckChanged]:
        """Count a look that outlived its slot and its time-out as a bad one.

        A look that merely waits for a free worker says nothing about its target.
        """
        if entry.begun_s is None or now.monotonic_s - entry.begun_s < entry.spec.timeout_s:
            return []
        entry.is_slow = True
        ran_s = now.monotonic_s - entry.begun_s
        result = CheckResult(
            check=entry.spec.id,
            state=CheckState.DOWN,
            reason=f"the last look is still running after {ran_s:.1f}s",
            latency_s=ran_s,
            at=now.at,
        )
        return self._advance(entry, result)

    def _advance(self, entry: _Entry, result: CheckResult) -> list[CheckChanged]:
        entry.streak, change = advance(entry.streak, result, entry.spec)
        entry.was_good |= entry.streak.state in _GOOD
        return [] if change is None else [change]


def _is_looking(entry: _Entry, now: Moment) -> bool:
    """Tell whether a look runs and is within its time-out."""
    return entry.begun_s is not None and now.monotonic_s - entry.begun_s < entry.spec.timeout_s


def _wants_extra(entry: _Entry, now: Moment) -> bool:
    is_unknown = entry.streak.state is CheckState.UNKNOWN
    return is_unknown and now.monotonic_s < entry.extra_until_s
