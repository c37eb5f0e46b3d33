"""Bulkhead: so many calls at once, a bounded queue behind them, the more urgent first."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from resile.core.clock import Clock
from resile.policies.admission import Admission, is_on_loop
from resile.policies.gate import Ticket
from resile.policies.layer import Inline, Measure
from resile.policies.options import Options
from resile.policies.policy import Policy
from resile.policies.priority import PRIORITY
from resile.policies.resumed import is_over

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulkhead(Policy):
    """Let so many calls run at once; the others wait for a bounded time, or are turned away.

    One dependency that hangs then holds `limit` callers, not all of them. Threads and tasks share
    the permits. Who waits goes on in the order of `resile.priority`, and of their coming
    within one priority; a full queue turns away the newest of the least urgent.

    Args:
        limit: Calls in flight, 1..1000000. Default 10.
        queue: Calls that may wait, 0..1000000. Default 0: the next is turned away at once.
        max_wait: Longest wait for a permit, 0..1d. Default 1 s. A deadline cuts it.

    Raises:
        BulkheadFullError: From a call that got no permit.
    """

    position: ClassVar[int] = 60
    limit: int = 10
    queue: int = 0
    max_wait: float | str = 1.0

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        options.whole("limit", low=1, high=1_000_000)
        options.whole("queue", low=0, high=1_000_000)
        options.seconds("max_wait", low=0, high=86_400)

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "BulkheadLayer":
        """Make the permits for one guarded name."""
        del chance
        return BulkheadLayer(
            Admission(
                name, clock, limit=self.limit, queue=self.queue, wait_s_max=float(self.max_wait)
            )
        )


class BulkheadLayer:
    """The permits of one name. Safe to share between threads and tasks.

    Args:
        admission: Where callers get them.
    """

    def __init__(self, admission: Admission) -> None:
        self.admission = admission

    def inline(self) -> Inline:
        """Give the lines of a call for which there is a permit at once."""
        return self.admission.inline()

    def adopt(self, policy: Policy, /) -> bool:
        """Take other limits; those inside stay."""
        if not isinstance(policy, Bulkhead):
            return False
        self.admission.adopt(
            limit=policy.limit, queue=policy.queue, wait_s_max=float(policy.max_wait)
        )
        return True

    def measures(self) -> tuple[Measure, ...]:
        """Give who is inside, who waits, and how many were turned away."""
        return self.admission.measures()

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` with a permit; blocks for `max_wait` at most before it."""
        if is_over(call):
            return call()
        ticket = Ticket(PRIORITY.get())
        try:
            self.admission.enter(ticket)
            return call()
        finally:
            self.admission.leave(ticket)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call` with a permit, without blocking the loop."""
        if is_over(call):
            return await call()
        ticket = Ticket(PRIORITY.get())
        try:
            await self.admission.aenter(ticket)
            return await call()
        finally:
            self.admission.leave(ticket)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have a permit for the time of a block. On an event loop it does not wait for one."""
        ticket = Ticket(PRIORITY.get())
        try:
            self.admission.enter(ticket, is_blocking=not is_on_loop())
            yield
        finally:
            self.admission.leave(ticket)

    @asynccontextmanager
    async def ahold(self) -> AsyncIterator[None]:
        """Have a permit for the time of a block, and wait for it without blocking the loop."""
        ticket = Ticket(PRIORITY.get())
        try:
            await self.admission.aenter(ticket)
            yield
        finally:
            self.admission.leave(ticket)
