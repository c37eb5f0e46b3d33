"""The conditions of all services of one manager: what is decided, and what counts already.

A change counts once the journal has it. Until then calls go on as before: the one that failed has
had its fallback anyway. A journal that takes longer than a second is not waited for.
"""

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from math import inf
from typing import Final, NamedTuple

from resile.core.clock import Clock
from resile.core.vocabulary import ServiceState
from resile.degradation import decide
from resile.degradation.decide import Standing
from resile.degradation.model import Condition, Service, Status
from resile.errors import ConfigError
from resile.policies import BreakerLayer, Layer, nearest

JOURNAL_WAIT_S: Final = 1.0
"""How long a change waits for the journal before it counts without: a commit takes milliseconds."""
TRIAL_S: Final = 60.0
"""How long one call may take to try a service before another may: longer than most time-outs."""


class Way(Enum):
    """How a call goes. ASK: to the service. TRY: so, to see if it works again. SKIP: not to it."""

    ASK = auto()
    TRY = auto()
    SKIP = auto()


class Entry:
    """One service and what is known of it. The book's lock guards what changes.

    `is_plain` and `state` are read without it: while `is_plain`, a call that goes well changes
    nothing.
    """

    __slots__ = (
        "breaker",
        "chain",
        "decided",
        "is_plain",
        "is_queued",
        "on",
        "pending_s",
        "saved",
        "service",
        "since",
        "standing",
        "trial_until_s",
        "visible",
    )

    def __init__(
        self,
        service: Service,
        *,
        chain: Layer | None,
        breaker: BreakerLayer | None,
        condition: Condition,
        since: datetime,
    ) -> None:
        self.service = service
        self.chain = chain
        self.breaker = breaker
        self.on = service.on if isinstance(service.on, tuple) else (service.on,)
        self.decided = self.visible = self.saved = condition
        self.since = since
        self.standing = Standing(ServiceState.HEALTHY, ())
        self.is_queued = False
        self.pending_s = inf
        """Since when a change waits for the journal; infinite if none does."""
        self.trial_until_s = -inf
        self.refresh()

    def refresh(self) -> None:
        """Tell calls anew whether they have to look."""
        self.is_plain = (
            not decide.is_down(self.standing.state)
            and not decide.is_recovering(self.decided)
            and self.decided.failures == 0
            and self.pending_s == inf
        )


class Change(NamedTuple):
    """A service whose standing is another than before."""

    entry: Entry
    before: Standing
    after: Standing


class Book:
    """All services of one manager. Safe to share between threads and tasks; never waits long.

    Args:
        clock: For all that is measured.
        chance: Spreads the waits between probes.
        save: Has a service's condition journalled, and calls `count` afterwards. Not under a lock.
        tell: Is given what changed. Not under a lock.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: random.Random,
        save: Callable[[Entry], None],
        tell: Callable[[list[Change]], None],
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._save = save
        self._tell = tell
        self._order: tuple[str, ...] = ()
        self.entries: dict[str, Entry] = {}
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork: whoever tried, or held the lock, is in the parent."""
        self._counted = threading.Condition(threading.Lock())
        for entry in self.entries.values():
            entry.trial_until_s = -inf
            entry.is_queued = False

    def add(self, entries: Iterable[Entry], order: tuple[str, ...]) -> None:
        """Put services in; `order` names all, each behind what it depends on."""
        with self._counted:
            added = {entry.service.name: entry for entry in entries}
            since = {name: entry.since for name, entry in added.items()}
            # Calls look into the mapping without the lock, so it is replaced and never changed.
            self.entries = {**self.entries, **added}
            self._order = order
            changes, excused = self._refresh()
            for name, entry in added.items():
                entry.since = since[name]
        self._after(changes, excused)

    def of(self, name: str) -> Entry:
        """Give a service by its name.

        Raises:
            ConfigError: If there is none; the nearest name is shown.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise ConfigError(f"there is no service {name!r}", hint=nearest(name, self.entries))
        return entry

    # What happened ------------------------------------------------------------------------------

    def begin(self, entry: Entry) -> Way:
        """Say how a call goes."""
        self.hurry()
        now = self._clock.monotonic()
        with self._counted:
            if entry.standing.blocked_by:
                return Way.SKIP
            if not decide.is_down(entry.visible.state):
                return Way.ASK
            is_free = now >= entry.trial_until_s
            if is_free and decide.calls_may_try(entry.service, entry.decided, now):
                entry.trial_until_s = now + TRIAL_S
                return Way.TRY
            return Way.SKIP

    def end_trial(self, entry: Entry) -> None:
        """Let another call try."""
        with self._counted:
            entry.trial_until_s = -inf

    def failed(self, entry: Entry, why: str) -> None:
        """Count a failure of the service; not while something that it depends on is down."""
        now = self._clock.monotonic()
        self._observe(
            entry, lambda before: decide.failed(entry.service, before, why, now, self._chance)
        )

    def worked(self, entry: Entry) -> None:
        """Count an answer of the service."""
        now = self._clock.monotonic()
        self._observe(entry, lambda before: decide.worked(entry.service, before, now))

    def unanswered(self, entry: Entry, why: str) -> None:
        """Count a call that nobody answered."""
        self._observe(entry, lambda before: decide.unanswered(before, why))

    def answered(self, entry: Entry) -> None:
        """Count an answer of a fallback."""
        if entry.decided.state is decide.CRITICAL:
            self._observe(entry, lambda before: decide.answered(entry.service, before))

    def report(self, entry: Entry, state: ServiceState, why: str) -> None:
        """Take over what somebody says."""
        now = self._clock.monotonic()
        self._observe(
            entry,
            lambda _before: decide.reported(entry.service, state, why, now),
            is_always=True,
        )

    def follow(self, entry: Entry) -> None:
        """Take over what the breaker of its guard says now."""
        breaker = entry.breaker
        if breaker is None:
            return
        state = breaker.state
        changes = breaker.changes
        why = changes[-1].why if changes else ""
        failure = breaker.last_failure
        if failure is not None and not breaker.reason:
            why = f"its breaker is open: {failure.what}"
        now = self._clock.monotonic()
        self._observe(
            entry, lambda before: decide.followed(before, state, why or "its breaker is open", now)
        )

    def hasten(self, entry: Entry) -> None:
        """Have it tried now, not when it would be due."""
        now = self._clock.monotonic()
        self._observe(entry, lambda before: decide.hastened(before, now), is_always=True)

    # What counts --------------------------------------------------------------------------------

    def take(self, entry: Entry) -> tuple[Condition, Condition]:
        """Give what the journal has of a service, and what it should have."""
        with self._counted:
            entry.is_queued = False
            return entry.saved, entry.decided

    def count(self, entry: Entry, target: Condition, *, is_saved: bool = True) -> None:
        """Let a condition count, which the journal has, or could not take."""
        with self._counted:
            if is_saved:
                entry.saved = target
            needs_more = decide.is_news(target, entry.decided)
            if not needs_more:
                entry.pending_s = inf
                entry.visible = entry.decided
            elif entry.pending_s != inf:  # Else something newer counts already.
                entry.visible = target
            changes, excused = self._refresh()
            self._counted.notify_all()
        self._after(changes, [*excused, *([entry] if needs_more else [])])

    def hurry(self) -> None:
        """Let changes count that the journal keeps waiting for too long."""
        late_s = self._clock.monotonic() - JOURNAL_WAIT_S
        late = [entry for entry in self.entries.values() if entry.pending_s <= late_s]
        for entry in late:
            self.count(entry, entry.decided, is_saved=False)

    def wait_until_counted(self, entry: Entry) -> None:
        """Wait until no change of a service waits, or it has waited long enough."""
        with self._counted:
            self._counted.wait_for(lambda: entry.pending_s == inf, timeout=JOURNAL_WAIT_S)
        if entry.pending_s != inf:
            self.count(entry, entry.decided, is_saved=False)

    def unsaved(self) -> list[Entry]:
        """Give those whose condition counts though the journal does not have it."""
        return [
            entry
            for entry in self.entries.values()
            if entry.pending_s == inf and decide.is_news(entry.saved, entry.visible)
        ]

    # What is so ---------------------------------------------------------------------------------

    def status(self, entry: Entry) -> Status:
        """Tell how a service serves the program."""
        with self._counted:
            standing, visible, since = entry.standing, entry.visible, entry.since
        reason = visible.reason
        if standing.blocked_by:
            roots = [self.entries[name] for name in standing.blocked_by]
            reason = "; ".join(
                f"{root.service.name} is {root.standing.state}: {root.visible.reason}"
                for root in roots
            )
        return Status(
            name=entry.service.name,
            state=standing.state,
            reason=reason,
            since=since,
            is_fallback=decide.is_down(standing.state),
            blocked_by=standing.blocked_by,
            origin=visible.origin,
        )

    def system_state(self) -> ServiceState:
        """Tell the state of all together."""
        with self._counted:
            return decide.system_state(
                {name: entry.service for name, entry in self.entries.items()},
                {name: entry.standing for name, entry in self.entries.items()},
            )

    # Inside -------------------------------------------------------------------------------------

    def _observe(
        self, entry: Entry, step: Callable[[Condition], Condition], *, is_always: bool = False
    ) -> None:
        """Go from one condition to the next.

        Args:
            entry: The service.
            step: Gives the next condition.
            is_always: Also while something that it depends on is down: then what its calls come
                to says nothing about it.
        """
        with self._counted:
            if entry.standing.blocked_by and not is_always:
                return
            before = entry.decided
            entry.decided = step(before)
            is_new = decide.is_news(before, entry.decided)
            if is_new:
                entry.pending_s = min(entry.pending_s, self._clock.monotonic())
            elif entry.pending_s == inf:
                entry.visible = entry.decided
            must_save = is_new and not entry.is_queued
            entry.is_queued = entry.is_queued or must_save
            entry.refresh()
        if must_save:
            self._save(entry)

    def _refresh(self) -> tuple[list[Change], list[Entry]]:
        """Look at all anew; the caller holds the lock.

        Returns:
            What changed, and those whose failure is explained now and has to be saved anew.
        """
        found = decide.standings(
            self._order,
            {name: entry.service for name, entry in self.entries.items()},
            {name: entry.visible.state for name, entry in self.entries.items()},
        )
        changes: list[Change] = []
        excused: list[Entry] = []
        for name, after in found.items():
            entry = self.entries[name]
            before, entry.standing = entry.standing, after
            if after.state is not before.state:
                entry.since = self._clock.now()
            if after != before:
                changes.append(Change(entry, before, after))
            if after.blocked_by and not before.blocked_by:
                excused += self._excuse(entry)
            entry.refresh()
        return changes, excused

    def _excuse(self, entry: Entry) -> list[Entry]:
        before = entry.decided
        entry.decided = decide.excused(before, self._clock.monotonic())
        if not decide.is_news(before, entry.decided):
            entry.visible = entry.decided if entry.pending_s == inf else entry.visible
            return []
        entry.pending_s = min(entry.pending_s, self._clock.monotonic())
        return [entry]

    def _after(self, changes: list[Change], to_save: list[Entry]) -> None:
        """Tell and save what came of a change, without the lock."""
        if changes:
            self._tell(changes)
        for entry in to_save:
            with self._counted:
                is_queued, entry.is_queued = entry.is_queued, True
            if not is_queued:
                self._save(entry)


def by_name(entries: Mapping[str, Entry]) -> list[Entry]:
    """Give entries in the order of their names."""
    return [entries[name] for name in sorted(entries)]
