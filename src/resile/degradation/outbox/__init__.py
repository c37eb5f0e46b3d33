"""An outbox: operations that are kept in a file until the other side has them."""

from resile.degradation.outbox.delivering import Delivery
from resile.degradation.outbox.model import (
    Counts,
    DeadLetter,
    Drained,
    Message,
    OutboxLimits,
    Receipt,
    WhenFull,
)
from resile.degradation.outbox.outbox import Outbox

__all__ = [
    "Counts",
    "DeadLetter",
    "Delivery",
    "Drained",
    "Message",
    "Outbox",
    "OutboxLimits",
    "Receipt",
    "WhenFull",
]
