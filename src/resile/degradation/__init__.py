"""A program that stays at work while what it depends on does not: states, fallbacks, recovery, an outbox.

Its modules are loaded when a name of theirs is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.core.vocabulary import NoticeChoice, ServiceState
    from resile.degradation.manager import Degradation, managers
    from resile.degradation.model import (
        Answer,
        Criticality,
        Notice,
        Origin,
        Service,
        Status,
    )
    from resile.degradation.outbox import (
        DeadLetter,
        Delivery,
        Drained,
        Message,
        Outbox,
        OutboxLimits,
        Receipt,
        WhenFull,
    )
    from resile.degradation.terminal import Terminal, ask

__all__ = [
    "Answer",
    "Criticality",
    "DeadLetter",
    "Degradation",
    "Delivery",
    "Drained",
    "Message",
    "Notice",
    "NoticeChoice",
    "Origin",
    "Outbox",
    "OutboxLimits",
    "Receipt",
    "Service",
    "ServiceState",
    "Status",
    "Terminal",
    "WhenFull",
    "ask",
    "managers",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "manager": ("Degradation", "managers"),
        "model": (
            "Answer",
            "Criticality",
            "Notice",
            "NoticeChoice",
            "Origin",
            "Service",
            "ServiceState",
            "Status",
        ),
        "outbox": (
            "DeadLetter",
            "Delivery",
            "Drained",
            "Message",
            "Outbox",
            "OutboxLimits",
            "Receipt",
            "WhenFull",
        ),
        "terminal": ("Terminal", "ask"),
    }
    return load(__name__, name, homes)
