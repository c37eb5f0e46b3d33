"""The shell around the pure parts: journal, fold, decide, act, and again.

One task does it all in one order, which is the journal's order:

    told payloads -> append (durable) -> fold -> decide -> append (durable) -> fold -> act -> ...

An action starts only after its `ActionStarted` is durable, and its outcome comes back as a told
payload. While the journal cannot be written nothing is decided and nothing is lost: what was told
waits, and the append is tried again. Nothing is decided on a clock that was set before all that was
noted on it has moved along.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from resile.core.clock import Clock
from resile.core.events import (
    ActionStarted,
    CheckChanged,
    Event,
    HeartbeatReceived,
    IncidentAcknowledged,
    OperatorRequested,
    Payload,
    PolicyClosed,
    PolicyForced,
    PolicyHalfOpened,
    PolicyOpened,
    PolicyOrdered,
    SecretAccessed,
    announce,
)
from resile.core.journal import Record
from resile.daemon.clock_watch import ClockWatch
from resile.errors import JournalError

logger = logging.getLogger(__name__)

INBOX_MAX = 10_000
"""What waits while the journal cannot be written; above it what is refusable is dropped, and counted."""
REFUSABLE = (
    *(CheckChanged, OperatorRequested, IncidentAcknowledged, HeartbeatReceived),
    *(PolicyOpened, PolicyHalfOpened, PolicyClosed, PolicyForced, PolicyOrdered),
    SecretAccessed,
)
"""What somebody can say again, or a table shows anyhow; a secret whose access is dropped is not given. Exits and outcomes cannot be: they are never dropped, and there are
few of them, because nothing new is begun while the journal cannot be written."""
BATCH_MAX = 256
"""So many told payloads go into one transaction."""
ROUNDS_MAX = 200
"""A decision that never comes to rest is a programmer's error; this ends it."""
WAIT_S_MIN, WAIT_S_MAX = 0.002, 5.0
"""A timer that is overdue cannot spin; a wall clock that jumps back cannot stop the loop for long."""
RETRY_S = 0.5
"""Between two tries to append to a journal that fails."""

Perform = Callable[[ActionStarted], Awaitable[Sequence[Payload]]]


class Projection(Protocol):
    """State that is folded from the journal, and decides what is due."""

    def apply(self, event: Event) -> None:
        """Fold one event into the state."""
        ...

    def due(self, now: datetime) -> "Due":
        """Tell what is due now, and when to be asked again."""
        ...


class Due(Protocol):
    """What a projection wants."""

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """To be journalled now, in this order."""
        ...

    @property
    def wake_at(self) -> datetime | None:
        """When to ask again at the latest; None if only an event can change anything."""
        ...


class Appender(Protocol):
    """The part of the journal that the loop needs."""

    def append_soon(self, *events: Event) -> "Future[tuple[Record, ...]]":
        """Append as one unit; the future is done when it is durable."""
        ...


@dataclass(frozen=True, slots=True)
class _Told:
    payload: Payload
    actor: str
    durable: "asyncio.Future[None] | None"


class Loop:
    """Runs the projections over the journal. Not thread-safe: lives on one event loop.

    Args:
        journal: Where everything goes first.
        projections: Folded in this order; each decides on its own state.
        clock: Where time comes from.
        perform: Does an action and gives what is to be told of it; it never raises.
        checkpoint: Asked between two rounds; gives the state as a payload when it is time.
        on_records: Called with the records of each append, after the fold.
        on_trouble: Called with the error when an append fails, and with None when one works again
            and all that waited meanwhile is folded.
    """

    def __init__(
        self,
        *,
        journal: Appender,
        projections: Sequence[Projection],
        clock: Clock,
        perform: Perform,
        checkpoint: Callable[[], Payload | None],
        on_records: Callable[[Sequence[Record]], None],
        on_trouble: Callable[[JournalError | None], None],
    ) -> None:
        self._journal = journal
        self._projections = projections
        self._clock = clock
        self._perform = perform
        self._checkpoint = checkpoint
        self._on_records = on_records
        self._on_trouble = on_trouble
        self._inbox: deque[_Told] = deque()
        self._awake = asyncio.Event()
        self._clocks = ClockWatch(clock)
        self._acting: set[asyncio.Task[None]] = set()
        self._is_in_trouble = False
        self.dropped = 0

    def tell(self, *payloads: Payload, actor: str = "brain") -> None:
        """Hand payloads in, to be journalled soon and in this order."""
        for payload in payloads:
            self._put(_Told(payload, actor, None))

    def watch_clock(self) -> None:
        """Look whether the clock was set since the last look, and tell it."""
        self.tell(*self._clocks.look())

    async def record(self, payload: Payload, *, actor: str = "brain") -> None:
        """Hand a payload in, and wait until it is durable and folded."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Told(payload, actor, durable))
        await durable

    async def record_all(self, payloads: Sequence[Payload], *, actor: str = "brain") -> None:
        """Hand payloads in, in this order, and wait until the last is durable and folded."""
        self.tell(*payloads[:-1], actor=actor)
        await self.record(payloads[-1], actor=actor)

    async def run(self) -> None:
        """Work until cancelled. Actions under way are cancelled too; they stay in flight."""
        try:
            while True:
                wake_at = await self.settle()
                await self._wait_until(wake_at)
        finally:
            for task in self._acting:
                task.cancel()
            await asyncio.gather(*self._acting, return_exceptions=True)

    async def settle(self) -> datetime | None:
        """Journal, fold and decide until nothing is due; tell when to look again."""
        for _ in range(ROUNDS_MAX):
            self._awake.clear()
            self.watch_clock()
            while self._inbox:
                await self._commit(self._take())
            # Nothing is folded between the making of the checkpoint and its append, so what is
            # behind it in the journal is exactly what it does not hold.
            if state := self._checkpoint():
                await self._commit([_Told(state, "brain", None)])
            if self._is_in_trouble:
                self._is_in_trouble = False
                self._on_trouble(None)
                continue
            dues = [projection.due(self._clock.now()) for projection in self._projections]
            decided = [payload for due in dues for payload in due.payloads]
            if not decided:
                return min((due.wake_at for due in dues if due.wake_at), default=None)
            await self._commit([_Told(payload, "brain", None) for payload in decided])
        raise AssertionError(f"no rest after {ROUNDS_MAX} rounds: {decided[:5]!r}")

    def resume(self, actions: Iterable[ActionStarted]) -> None:
        """Perform again what a dead brain had begun."""
        for action in actions:
            self._start(action)

    def _put(self, told: _Told) -> None:
        if len(self._inbox) >= INBOX_MAX and isinstance(told.payload, REFUSABLE):
            self.dropped += 1
            if told.durable is not None:
                told.durable.set_exception(JournalError("the journal is behind: inbox is full"))
            return
        self._inbox.append(told)
        self._awake.set()

    def _take(self) -> list[_Told]:
        return [self._inbox.popleft() for _ in range(min(BATCH_MAX, len(self._inbox)))]

    async def _commit(self, batch: Sequence[_Told]) -> None:
        now = self._clock.now()
        events = [announce(told.payload, at=now, actor=told.actor) for told in batch]
        records = await self._append(events)
        for event in events:
            for projection in self._projections:
                projection.apply(event)
        self._on_records(records)
        for told in batch:
            if told.durable is not None and not told.durable.done():
                told.durable.set_result(None)
            if isinstance(told.payload, ActionStarted):
                self._start(told.payload)

    async def _append(self, events: Sequence[Event]) -> tuple[Record, ...]:
        while True:
            try:
                return await asyncio.wrap_future(self._journal.append_soon(*events))
            except JournalError as exc:
                self._is_in_trouble = True
                self._on_trouble(exc)
                await asyncio.sleep(RETRY_S)

    def _start(self, action: ActionStarted) -> None:
        task = asyncio.create_task(self._act(action), name=f"{action.action} {action.target}")
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _act(self, action: ActionStarted) -> None:
        self.tell(*await self._perform(action))

    async def _wait_until(self, wake_at: datetime | None) -> None:
        due_in_s = WAIT_S_MAX if wake_at is None else (wake_at - self._clock.now()).total_seconds()
        wait_s = min(max(due_in_s, WAIT_S_MIN), WAIT_S_MAX)
        try:
            async with asyncio.timeout(wait_s):
                await self._awake.wait()
        except TimeoutError:
            logger.debug("loop.timer")
