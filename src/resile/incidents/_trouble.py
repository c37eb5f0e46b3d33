"""How a trouble is told: by a name that is the same whenever the same thing is seen. Pure."""

from datetime import datetime

from resile.core.events import TroubleEnded, TroubleNoticed
from resile.core.vocabulary import FaultKind, Priority
from resile.recover import trouble_id

Told = TroubleNoticed | TroubleEnded
_REASON_LENGTH_MAX = 200


def noticed(
    kind: FaultKind,
    target: str,
    priority: Priority,
    began_at: datetime,
    reason: str,
    *,
    detail: str = "",
) -> TroubleNoticed:
    """Tell that something is wrong.

    Args:
        kind: What is wrong.
        target: With what.
        priority: How urgent it is.
        began_at: When it really began.
        reason: For people; cut to 200 characters.
        detail: Tells troubles of one kind and target apart.
    """
    return TroubleNoticed(
        trouble_id=trouble_id(kind, target, detail),
        fault=kind,
        target=target,
        priority=priority,
        began_at=began_at,
        reason=reason[:_REASON_LENGTH_MAX],
    )


def ended(trouble_id: str, target: str, at: datetime, reason: str) -> TroubleEnded:
    """Tell that it is well again."""
    return TroubleEnded(
        trouble_id=trouble_id, target=target, ended_at=at, reason=reason[:_REASON_LENGTH_MAX]
    )
