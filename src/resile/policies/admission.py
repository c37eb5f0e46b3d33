"""Wait at a gate, as a thread or as a task, and give back what one got there."""

import sys
import threading
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from resile.core.clock import Clock, SystemClock
from resile.errors import BulkheadFullError
from resile.policies._async import asleep
from resile.policies.context import remaining_s
from resile.policies.forks import renew_in_children
from resile.policies.gate import Gate, Standing, Ticket
from resile.policies.layer import Inline, Measure
from resile.policies.signals import Rejections

if TYPE_CHECKING:
    import asyncio


class Admission:
    """A gate that threads and tasks of several loops share. Safe to share between all of them.

    Usage, so that nothing that is raised anywhere can keep a permit: make a `Ticket`, then `enter`
    inside of `try`, and `leave` in `finally`.

    Args:
        name: The guard's name, for errors.
        clock: A clock that is not the machine's own lets the longest wait pass at once.
        limit: Permits.
        queue: How many may wait.
        wait_s_max: Longest wait in seconds; the deadline of the calls around cuts it.
    """

    def __init__(
        self, name: str, clock: Clock, *, limit: int, queue: int, wait_s_max: float
    ) -> None:
        self._name = name
        self._clock = clock
        self._queue = queue
        self._wait_s_max = wait_s_max
        self._lock = threading.Lock()
        self._gate = Gate(limit, queue)
        self.rejections = Rejections(name, clock, "bulkhead")
        renew_in_children(self)

    @property
    def limit(self) -> int:
        """Tell the permits that there are."""
        return self._gate.limit

    @property
    def in_flight(self) -> int:
        """Tell how many have a permit."""
        return self._gate.in_flight

    @property
    def waiting(self) -> int:
        """Tell how many wait."""
        with self._lock:
            return self._gate.waiting

    def measures(self) -> tuple[Measure, ...]:
        """Give who is inside, who waits, and how many were turned away."""
        return (
            Measure("in_flight", self.in_flight),
            Measure("limit", self.limit),
            Measure("waiting", self.waiting, "bulkhead"),
            Measure("rejections", self.rejections.count(), "bulkhead"),
        )

    def renew(self) -> None:
        """Forget the threads and tasks of the parent process."""
        self._lock = threading.Lock()
        self.rejections.renew()
        self._gate = Gate(self._gate.limit, self._queue)

    def enter(self, ticket: Ticket, *, is_blocking: bool = True) -> None:
        """Get a permit; blocks the thread for as long as it may wait.

        Args:
            ticket: The caller's.
            is_blocking: False does not wait, whatever the limits are.

        Raises:
            BulkheadFullError: If there is none, or it did not come in time.
        """
        parked = threading.Lock()
        with self._lock:
            ousted = self._gate.enter(ticket)
            is_waiting = is_blocking and ticket.standing is Standing.WAITING
            if is_waiting:
                parked.acquire()
                ticket.wake = parked.release
        if ousted is not None:
            self._wake([ousted])
        if is_waiting:
            self._park(parked)
        if ticket.standing is not Standing.INSIDE:
            self._settle(ticket, may_wait=is_blocking)

    async def aenter(self, ticket: Ticket) -> None:
        """Get a permit; suspends the task for as long as it may wait.

        Raises:
            BulkheadFullError: If there is none, or it did not come in time.
        """
        with self._lock:
            ousted = self._gate.enter(ticket)
            turn = _turn_of(ticket) if ticket.standing is Standing.WAITING else None
        if ousted is not None:
            self._wake([ousted])
        if turn is not None:
            await self._await(turn)
        if ticket.standing is not Standing.INSIDE:
            self._settle(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give back the permit or the place in the queue; harmless if the ticket has neither."""
        with self._lock:
            admitted = self._gate.leave(ticket)
        if admitted:
            self._wake(admitted)

    def enter_now(self, token: object) -> bool:
        """Get a permit for a token, if there is one; it is given back by `leave_now`."""
        with self._lock:
            return self._gate.enter_now(token)

    def leave_now(self, token: object) -> None:
        """Give back the permit of a token; harmless if it has none."""
        with self._lock:
            admitted = self._gate.leave_now(token)
        if admitted:
            self._wake(admitted)

    def inline(self) -> Inline:
        """Give the lines of a call for which there is a permit at once."""
        return Inline(
            kind="bulkhead",
            names={"_resile_admission": self},
            before=("_resile_permit = _resile_object()",),
            takes="_resile_admission.enter_now(_resile_permit)",
            gives=("_resile_admission.leave_now(_resile_permit)",),
        )

    def resize(self, limit: int) -> None:
        """Change the number of permits; those inside stay."""
        with self._lock:
            admitted = self._gate.resize(limit)
        self._wake(admitted)

    def adopt(self, *, limit: int, queue: int, wait_s_max: float) -> None:
        """Take other limits; those inside and in the queue stay, with the wait that they began."""
        self._queue = queue
        self._wait_s_max = wait_s_max
        with self._lock:
            self._gate.queue = queue
        self.resize(limit)

    def _park(self, parked: threading.Lock) -> None:
        wait_s = self._wait_s()
        if isinstance(self._clock, SystemClock):
            parked.acquire(timeout=wait_s)
        else:
            self._clock.sleep(wait_s)

    async def _await(self, turn: "asyncio.Future[None]") -> None:
        import asyncio

        wait_s = self._wait_s()
        if isinstance(self._clock, SystemClock):
            await asyncio.wait({turn}, timeout=wait_s)
        else:
            await asleep(self._clock, wait_s)

    def _wait_s(self) -> float:
        return min(self._wait_s_max, remaining_s(self._clock))

    def _settle(self, ticket: Ticket, *, may_wait: bool = True) -> None:
        """Turn a caller away, unless it got a permit in the last moment."""
        with self._lock:
            standing = ticket.standing
            if standing is Standing.INSIDE:
                return
            self._gate.leave(ticket)
        self.rejections.add()
        waited = f", and none ended within {self._wait_s_max:g} s"
        calls = "1 call" if self._gate.limit == 1 else f"{self._gate.limit} calls"
        hint = "let fewer calls come at once, or raise the limit or the queue of its bulkhead"
        if standing is not Standing.WAITING:
            waited = ""
        elif not may_wait:
            waited, hint = ", and `with` in a coroutine waits for none", "write `async with`"
        raise BulkheadFullError(f"{self._name!r} has {calls} in flight{waited}", hint=hint)

    def _wake(self, tickets: Iterable[Ticket]) -> None:
        """Wake callers; one whose loop is closed will never come, and hands its permit on."""
        for ticket in tickets:
            try:
                ticket.wake()
            except RuntimeError:
                self.leave(ticket)


def is_on_loop() -> bool:
    """Tell whether an event loop runs in this thread, so that it must not be blocked."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


def _turn_of(ticket: Ticket) -> "asyncio.Future[None]":
    """Give a future of the running loop that is done when the ticket is woken, by any thread."""
    import asyncio

    loop = asyncio.get_running_loop()
    turn: asyncio.Future[None] = loop.create_future()

    ticket.wake = partial(loop.call_soon_threadsafe, turn.set_result, None)
    return turn
