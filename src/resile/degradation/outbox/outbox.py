"""Operations that are sent later: kept in a file until the other side has them, in their order."""

import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.ids import new_id
from resile.degradation.outbox.model import (
    NAME_LENGTH_MAX,
    Counts,
    DeadLetter,
    Drained,
    Message,
    OutboxLimits,
    Receipt,
    written,
)
from resile.degradation.outbox.table import Outcome, Table, Taken
from resile.errors import ConfigError
from resile.policies.bound import CHANCE
from resile.policies.classify import written as told
from resile.policies.colours import check_called
from resile.policies.forms import Form, form_of

if TYPE_CHECKING:
    from resile.degradation.manager import Degradation
    from resile.degradation.outbox.delivering import Delivery

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW_MAX: Final = 3
"""After so many a drain ends: what it sends to is away, and each attempt would take a time-out."""
LISTED_MAX: Final = 1000

Send = Callable[[Message], object]
ASend = Callable[[Message], Awaitable[object]]


class Outbox:
    """A durable queue of operations. Safe to share between threads, tasks and processes.

    A message is sent at least once: if a process dies after it was sent and before that was noted,
    it is sent again, with the same id. Messages of one key are sent in the order in which they were
    put, one at a time: one that fails holds up those behind it until it is sent or a dead letter.

    Args:
        path: The file, made if there is none; only this user may read it.
        limits: How much it keeps and how often it tries. Default: those of `OutboxLimits()`.
        clock: For waits and leases.
        chance: Spreads the waits.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        limits: OutboxLimits | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
    ) -> None:
        self._table = Table(
            Path(path).absolute(), limits=limits or OutboxLimits(), clock=clock, chance=chance
        )
        self._clock = clock
        self._pokes: tuple[Callable[[], object], ...] = ()

    def put(self, value: Any, *, id: str | None = None, key: str = "") -> Receipt:  # noqa: A002
        """Keep an operation; it is on the disk when this returns. Blocks for a commit.

        Args:
            value: JSON data that says what is to be done.
            id: The same for the same operation: it is kept once, however often it is put, also for
                some time after it was sent. Default: a new one. 1..200 characters.
            key: Messages of one key keep their order; give each its id as key if none matters.
                Up to 200 characters.

        Raises:
            OutboxFullError: If there is no room, or the message is larger than all may be together.
            OutboxError: If it could not be made durable; then it is not kept.
            ConfigError: If the value is no JSON data, or the id or key is out of range.
        """
        message_id = new_id("msg", at=self._clock.now()) if id is None else id
        check_name("id", message_id, least=1)
        check_name("key", key, least=0)
        is_new = self._table.add(message_id, key, written(value))
        if is_new:
            for poke in self._pokes:
                poke()
        return Receipt(message_id, is_new)

    async def aput(self, value: Any, *, id: str | None = None, key: str = "") -> Receipt:  # noqa: A002
        """Do the same without holding an event loop up."""
        from asyncio import to_thread

        return await to_thread(self.put, value, id=id, key=key)

    def drain(self, send: Send, *, limit: int | None = None) -> Drained:
        """Send what is due now, and end when nothing is, or three attempts in a row have failed.

        Args:
            send: Is given each `Message`; it is sent if this returns. An exception means that it
                has to be tried again, later; it should not take longer than the lease.
            limit: Attempts at most.

        Raises:
            OutboxError: If the file cannot be read or written.
            ConfigError: If `send` is not callable, or a coroutine function, which would send nothing.
        """
        check_send(send, is_async=False)
        drain = _Drain(self._table, limit)
        outcome = None
        while (taken := drain.next(outcome)) is not None:
            outcome = Outcome(taken, "")
            try:
                check_called(send(taken.message), send, instead="`await outbox.adrain(send)`")
                outcome = Outcome(taken, None)
            except Exception as error:  # noqa: BLE001 - kept with the message
                outcome = Outcome(taken, told(error))
            except BaseException:
                drain.broken_off(outcome)
                raise
        return drain.result()

    async def adrain(self, send: ASend, *, limit: int | None = None) -> Drained:
        """Do the same on an event loop, with a coroutine function."""
        from asyncio import to_thread

        check_send(send, is_async=True)
        drain = _Drain(self._table, limit)
        outcome = None
        try:
            while (taken := await to_thread(drain.next, drain.offer(outcome))) is not None:
                outcome = Outcome(taken, "")
                try:
                    await send(taken.message)
                    outcome = Outcome(taken, None)
                except Exception as error:  # noqa: BLE001 - kept with the message
                    outcome = Outcome(taken, told(error))
        except BaseException:
            drain.cancel()  # Briefly blocks: a cancelled task cannot wait.
            raise
        return await to_thread(drain.result)

    def deliver(
        self, send: Send, *, services: "Degradation | None" = None, service: str = ""
    ) -> "Delivery":
        """Send in a thread from now on: what is put at once, what fails again when it is due.

        Args:
            send: As in `drain`.
            services: A manager: while one of its services is down nothing is sent, but for one
                attempt every 10 seconds; when it is back, all is.
            service: The name of that service.

        Returns:
            What ends it: `close`, or a `with` block.

        Raises:
            ConfigError: If there is no such service, or `send` is none for `drain`.
        """
        from resile.degradation.outbox.delivering import Delivery

        check_send(send, is_async=False)

        return Delivery(self, send, services=services, service=service)

    async def adeliver(
        self, send: ASend, *, services: "Degradation | None" = None, service: str = ""
    ) -> None:
        """Do the same on this event loop until cancelled, with a coroutine function."""
        from resile.degradation.outbox.delivering import adeliver

        check_send(send, is_async=True)
        await adeliver(self, send, services=services, service=service)

    def counts(self) -> Counts:
        """Tell how full it is."""
        return self._table.counts()

    def next_s(self) -> float | None:
        """Tell the seconds until a message is due, 0 or more; None if none waits."""
        return self._table.next_s()

    def hasten(self) -> None:
        """Make all that waits for its next attempt due now."""
        self._table.hasten()

    def dead(self, *, limit: int = LISTED_MAX) -> tuple[DeadLetter, ...]:
        """Give dead letters, the oldest first.

        Args:
            limit: How many at most, 1..1000000.
        """
        return self._table.dead(limit)

    def requeue(self, ids: Iterable[str] | None = None) -> int:
        """Let dead letters wait again in their old places, with all their attempts.

        Args:
            ids: Which, 1000 at most. Default: all.

        Returns:
            How many there were.

        Raises:
            OutboxFullError: If there is no room for all of them; then none is moved.
        """
        chosen = None if ids is None else tuple(ids)[:LISTED_MAX]
        count = self._table.revive(chosen)
        for poke in self._pokes:
            poke()
        return count

    def when_put(self, poke: Callable[[], object]) -> Callable[[], None]:
        """Have somebody told, in the thread that puts, that there is something to send.

        Returns:
            What ends it.
        """
        self._pokes = (*self._pokes, poke)

        def end() -> None:
            self._pokes = tuple(one for one in self._pokes if one is not poke)

        return end

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        self._table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_name(name: str, text: object, *, least: int) -> None:
    """Refuse what is no id or key.

    Raises:
        ConfigError: If it is no text, or too short or too long.
    """
    if not isinstance(text, str) or not least <= len(text) <= NAME_LENGTH_MAX:
        raise ConfigError(
            f"{name} {text!r:.80} is not a text of {least}..{NAME_LENGTH_MAX} characters",
            hint=f'such as outbox.put(value, {name}="order-17")',
        )


def check_send(send: object, *, is_async: bool) -> None:
    """Refuse what cannot send.

    Raises:
        ConfigError: If it is not callable, or a coroutine function where nobody would await it.
    """
    if not callable(send):
        raise ConfigError(
            f"{send!r:.80} is not callable, so it sends nothing",
            hint="give a function of one message that raises if it was not sent",
        )
    if not is_async and form_of(send) is not Form.PLAIN:
        raise ConfigError(
            f"{send!r:.80} is no plain function: nothing would be sent, and all be taken for sent",
            hint="with a coroutine function write `await outbox.adrain(send)`, or adeliver",
        )


class _Drain:
    """What both colours of a drain share. Not thread-safe; the drain owns it.

    Args:
        table: The messages.
        limit: Attempts at most; None for any number.
    """

    def __init__(self, table: Table, limit: int | None) -> None:
        self._table = table
        self._left = limit
        self._in_a_row = 0
        self._sent = self._failed = self._dead = 0
        self._lock = threading.Lock()
        self._open: Outcome | None = None
        """What has to be settled if the drain is cancelled now."""
        self._is_cancelled = False

    def offer(self, outcome: Outcome | None) -> Outcome | None:
        """Say what the next `next` will note, before a thread does it."""
        self._open = outcome
        return outcome

    def next(self, outcome: Outcome | None) -> Taken | None:
        """Note what came of the last attempt, and give what to send next; None at the end."""
        with self._lock:
            if self._is_cancelled:
                return None
            self._open = None
        taken = self._exchange(outcome)
        with self._lock:
            is_wanted = not self._is_cancelled
            if is_wanted and taken is not None:
                self._open = Outcome(taken, "")
        if not is_wanted and taken is not None:
            self.broken_off(Outcome(taken, ""))
            return None
        return taken

    def cancel(self) -> None:
        """End it wherever it is: what was taken is given back, what was sent is noted."""
        with self._lock:
            self._is_cancelled = True
            left, self._open = self._open, None
        if left is not None:
            self._table.exchange(left, is_more=False)

    def _exchange(self, outcome: Outcome | None) -> Taken | None:
        if outcome is not None:
            self._count(outcome)
        is_more = self._left != 0 and self._in_a_row < FAILURES_IN_A_ROW_MAX
        taken, is_dead = self._table.exchange(outcome, is_more=is_more)
        if is_dead and outcome is not None:
            self._dead += 1
            logger.warning(
                "outbox.dead_letter",
                extra={"message_id": outcome.taken.message.id, "why": outcome.why},
            )
        if taken is not None and self._left is not None:
            self._left -= 1
        return taken

    def broken_off(self, outcome: Outcome) -> None:
        """Give a message back as if it had not been tried: the sender itself was interrupted."""
        self._table.exchange(outcome, is_more=False)

    def result(self) -> Drained:
        """Tell what came of it."""
        waiting = self._table.counts().waiting
        return Drained(self._sent, self._failed, self._dead, waiting)

    def _count(self, outcome: Outcome) -> None:
        is_sent = outcome.why is None
        self._sent += is_sent
        self._failed += not is_sent
        self._in_a_row = 0 if is_sent else self._in_a_row + 1
