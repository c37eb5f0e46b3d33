"""Orders to guards, and which of them hold for processes that come later. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from resile.core.events import PolicyOrdered

STEADY = frozenset({"force-open", "disable", "metrics-only"})
"""These hold until the next order, unless a time was given."""
MOMENT_S = 30.0
"""The others hold for whoever connects so soon: one that was reconnecting must not miss them."""
STANDING_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator wants of a guard, in every process that has it.

    Args:
        order_id: A process that has carried it out does not do it again.
        guard: The guard's name.
        order: One of `resile.policies.steering.ORDERS`.
        until: When it is over; None: never by itself.
        why: Shown with the guard.
        who: Gave it.
        at: When.
    """

    order_id: str
    guard: str
    order: str
    until: datetime | None
    why: str
    who: str
    at: datetime

    @property
    def holds_until(self) -> datetime | None:
        """Tell until when it is given to processes that come; None: until the next order."""
        if self.until is not None or self.order in STEADY:
            return self.until
        return self.at + timedelta(seconds=MOMENT_S)

    def holds(self, now: datetime) -> bool:
        """Tell whether a process that comes now gets it."""
        end = self.holds_until
        return end is None or now < end

    def told(self, now: datetime) -> dict[str, Any]:
        """Give it as a process is told."""
        for_s = None if self.until is None else max(0.0, (self.until - now).total_seconds())
        return {"guard": self.guard, "order": self.order, "for_s": for_s, "why": self.why}


class Standing:
    """The last order to each guard, while it holds. Not thread-safe."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, Order] = OrderedDict()

    def take(self, order: Order) -> None:
        """Let an order replace the one before it. Of too many, the oldest holds no more."""
        self._orders.pop(order.guard, None)
        self._orders[order.guard] = order
        if len(self._orders) > STANDING_MAX:
            self._orders.popitem(last=False)

    def restore(self, oldest_first: Iterable[tuple[PolicyOrdered, datetime]]) -> None:
        """Take what the journal holds, each with its time."""
        for payload, at in oldest_first:
            self.take(order_of(payload, at))

    def of(self, guard: str, now: datetime) -> Order | None:
        """Give the order that holds for a guard; None if there is none."""
        order = self._orders.get(guard)
        return order if order is not None and order.holds(now) else None

    def all(self, now: datetime) -> list[Order]:
        """Give all that hold, the newest last; those that are over are forgotten."""
        for guard in [name for name, order in self._orders.items() if not order.holds(now)]:
            del self._orders[guard]
        return list(self._orders.values())


def order_of(payload: PolicyOrdered, at: datetime) -> Order:
    """Read an order from its event."""
    return Order(
        order_id=payload.order_id,
        guard=payload.guard,
        order=payload.order,
        until=payload.until,
        why=payload.why,
        who=payload.who,
        at=at,
    )
