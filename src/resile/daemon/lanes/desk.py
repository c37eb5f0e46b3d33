"""What user's processes say of their guards, kept and shown; and what is ordered of them.

Implements `resile.web.PoliciesView`. An order is journalled before any process is told, and again
when those that had the guard have answered.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from resile.clients import wire
from resile.core.clock import Clock
from resile.core.events import Payload, PolicyObeyed, PolicyOrdered
from resile.core.ids import new_id
from resile.core.journal import Journal, Query
from resile.daemon.lanes.changes import change_of, guard_of
from resile.daemon.lanes.line import Line
from resile.daemon.lanes.measures import PolicyMeasures
from resile.daemon.lanes.orders import Order, Standing, order_of
from resile.daemon.lanes.rates import Divider, Part
from resile.daemon.lanes.server import LaneServer
from resile.daemon.lanes.sharing import Keeper
from resile.daemon.lanes.table import PolicyTable, Process
from resile.daemon.lanes.throttle import Throttle
from resile.daemon.lanes.topics import TopicStore
from resile.daemon.lanes.whose import Instance, service_of
from resile.errors import JournalError

logger = logging.getLogger(__name__)

POLICIES, SIGNALS, SHARED, RATES = "policies", "signals", "shared", "rates"
"""The topics of readings and orders, of changes, of shared breakers and limits; as `clients` has."""
ANSWER_S = 2.0
"""A process answers within a quarter of a second, unless it is stopped."""
RESTORED_MAX = 1000
FAILED_SHOWN_MAX = 10

Services = Callable[[], Mapping[str, Instance]]


class Loop(Protocol):
    """The part of the brain's loop that is needed here."""

    def tell(self, *payloads: Payload, actor: str = ...) -> None:
        """Have payloads journalled soon, in this order."""
        ...

    def record(self, payload: Payload, *, actor: str = ...) -> Awaitable[None]:
        """Have one journalled; done when it is durable."""
        ...


class LaneDesk:
    """All of it. Lives on the brain's event loop.

    Args:
        run: The folder of sockets.
        journal: The system's, to read.
        loop: Journals changes and orders.
        services: Tells which services run.
        measures: Takes the counts.
        clock: Stamps and measures.
    """

    def __init__(
        self,
        run: Path,
        *,
        journal: Journal,
        loop: Loop,
        services: Services,
        measures: PolicyMeasures,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._loop = loop
        self._services = services
        self._measures = measures
        self._clock = clock
        self._keys = itertools.count(1)
        self._table = PolicyTable()
        self._topics = TopicStore()
        self._standing = Standing()
        self._throttle = Throttle()
        self._keeper = Keeper()
        self._divider = Divider()
        self._server = LaneServer(
            run, greet=self._greet, joined=self._joined, hear=self._hear, left=self._left
        )

    async def serve(self) -> None:
        """Read which orders hold, then listen until cancelled."""
        query = Query(kinds=(PolicyOrdered.kind,), limit=RESTORED_MAX, is_newest_first=True)
        try:
            for record in reversed(await asyncio.to_thread(self._journal.read, query)):
                payload = record.event.payload()
                if isinstance(payload, PolicyOrdered):
                    self._standing.take(order_of(payload, record.event.at))
        except JournalError as exc:  # Whoever appends tells the trouble; orders may be given again.
            logger.warning("lanes.orders_not_read reason=%s", exc.message)
        await self._server.serve()

    # What is asked ------------------------------------------------------------------------------

    def overview(self) -> Mapping[str, Any]:
        """Give every guard of every process, and the orders that hold."""
        now = self._clock.now()
        return {
            "policies": self._table.rows(now),
            "processes": len(self._server.lines),
            "orders": [_shown(order) for order in self._standing.all(now)],
        }

    def names(self) -> Sequence[str]:
        """Give the names of guards that are there, or were lately, or have orders that hold."""
        standing = (order.guard for order in self._standing.all(self._clock.now()))
        return sorted({*self._table.names(), *standing})

    async def order(
        self, guard: str, order: str, *, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Journal an order, give it to every process that has the guard, and tell what became of it."""
        now = self._clock.now()
        asked = PolicyOrdered(
            guard=guard,
            order_id=new_id("ord", at=now),
            order=order,
            until=None if for_s is None else now + timedelta(seconds=for_s),
            why=why,
            who=who,
        )
        await self._loop.record(asked, actor=f"operator:{who}" if who else "operator")
        given = order_of(asked, now)
        self._standing.take(given)
        lines = [line for line in self._lines() if guard in self._table.guards_of(line.process)]
        obeyed = await self._give(given, lines)
        self._loop.tell(obeyed)
        return {
            **_shown(given),
            "done": obeyed.done,
            "failed": list(obeyed.failed),
            "silent": obeyed.silent,
        }

    def topic(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Give what each process says of a further topic: `key`, `pid`, `program`, `service`, `value`, `at`."""
        return self._topics.of(name)

    async def tell(self, key: int, topic: str, value: Any) -> str:
        """Give an order of a further topic to one process, and wait for its answer.

        Args:
            key: As `topic` gave it.
            topic: What it is about.
            value: JSON data.

        Returns:
            What went wrong, in the process's words; empty if nothing did.
        """
        line = self._server.lines.get(key)
        if line is None:
            return "the process is gone"
        answer = line.order(new_id("ord", at=self._clock.now()), topic, value)
        (error,) = await _answers([answer])
        return "it did not answer" if error is None else error

    def measure(self) -> None:
        """Set the gauges; counters follow what processes say."""
        self._measures.set(
            self._table.rows(self._clock.now()),
            processes=len(self._server.lines),
            unsaid=self._throttle.unsaid,
            refused=self._server.refused,
        )

    # What processes say -------------------------------------------------------------------------

    def _greet(self, pid: int, program: str) -> Process:
        return Process(
            key=next(self._keys),
            pid=pid,
            program=program,
            service=service_of(pid, self._services()),
            connected_at=self._clock.now(),
        )

    def _joined(self, line: Line) -> None:
        logger.debug("lanes.joined pid=%s", line.process.pid)

    def _left(self, line: Line) -> None:
        self._table.drop(line.process)
        self._topics.drop(line.process)
        self._keeper.drop(line.process.key)
        self._divide(self._divider.drop(line.process.key))

    def _hear(self, line: Line, message: dict[str, Any]) -> None:
        if "done" in message:
            line.done(message)
        elif "publish" in message:
            self._published(line, message["publish"], message.get("value"))
        elif message.get("send") in (SIGNALS, SHARED):
            values = message.get("values")
            hear = self._changed if message["send"] == SIGNALS else self._claimed
            for value in values if isinstance(values, list) else ():
                hear(line, value)

    def _published(self, line: Line, topic: object, value: Any) -> None:
        now = self._clock.now()
        if not wire.is_topic(topic):
            raise wire.WireError("a topic has no name")
        if topic == SHARED:
            for name in self._keeper.want(line.process.key, value):
                self._share(line, name)
            return
        if topic == RATES:
            self._divide(self._divider.put(line.process.key, value))
            return
        if topic != POLICIES:
            self._topics.put(line.process, str(topic), value, now)
            return
        before = self._table.put(line.process, value, now)
        guards = self._table.guards_of(line.process)
        self._measures.count(before, guards)
        for guard in guards:
            held = self._standing.of(guard, now)
            if held is not None and held.order_id not in line.sent:
                self._send(line, held)

    def _divide(self, parts: Sequence[Part]) -> None:
        for key, name, share in parts:
            line = self._server.lines.get(key)
            if line is not None:
                told = {"name": name, "share": share}
                line.order(new_id("shr", at=self._clock.now()), RATES, told)

    def _claimed(self, line: Line, value: object) -> None:
        name, keys = self._keeper.claim(line.process.key, value, self._clock.monotonic())
        for key in keys:
            if key in self._server.lines:
                self._share(self._server.lines[key], name)

    def _share(self, line: Line, name: str) -> None:
        told = self._keeper.told(line.process.key, name, self._clock.monotonic())
        line.order(new_id("shr", at=self._clock.now()), SHARED, told)

    def _changed(self, line: Line, value: object) -> None:
        unsaid = self._throttle.admit(guard_of(value), self._clock.monotonic())
        if unsaid is None:
            return
        payload = change_of(line.process, value, unsaid=unsaid)
        if payload is not None:
            self._loop.tell(payload, actor="policies")

    # What is ordered ----------------------------------------------------------------------------

    async def _give(self, order: Order, lines: Sequence[Line]) -> PolicyObeyed:
        answers = await _answers([self._send(line, order) for line in lines])
        failed = [
            f"{line.process.service or line.process.program} ({line.process.pid}): {error}"
            for line, error in zip(lines, answers, strict=True)
            if error
        ]
        return PolicyObeyed(
            guard=order.guard,
            order_id=order.order_id,
            order=order.order,
            done=answers.count(""),
            failed=tuple(failed[:FAILED_SHOWN_MAX]),
            silent=answers.count(None),
        )

    def _send(self, line: Line, order: Order) -> "asyncio.Future[str]":
        line.sent.add(order.order_id)
        return line.order(order.order_id, POLICIES, order.told(self._clock.now()))

    def _lines(self) -> Sequence[Line]:
        return tuple(self._server.lines.values())


async def _answers(asked: "Sequence[asyncio.Future[str]]") -> list[str | None]:
    """Wait for answers; None for each that did not come in time."""
    if asked:
        await asyncio.wait(asked, timeout=ANSWER_S)
    return [one.result() if one.done() and not one.cancelled() else None for one in asked]


def _shown(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "guard": order.guard,
        "order": order.order,
        "until": order.until,
        "why": order.why,
        "who": order.who,
        "at": order.at,
    }
