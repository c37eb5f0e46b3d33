"""How good recovery is, counted over the newest faults that were closed. Pure.

A fault that an operator took out proves nothing and does not count. One that is still open counts as soon as
its outcome can be told: a person was called, or its objective is missed; or else what is stuck for ever would never be seen.
"""

from collections import deque
from dataclasses import dataclass, field

from resile.core.events import FaultClosed, FaultEscalated, FaultOpened, ObjectiveMissed, Payload
from resile.core.vocabulary import Outcome

CLOSED_MAX = 1000
"""So many are counted: F10 asks for three nines of a share, which fewer cannot show."""
KINDS = ("fault.closed", "fault.escalated", "fault.opened", "objective.missed")
"""What it is folded from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How one fault ended.

    Args:
        recovery_s: From its beginning.
        is_within_rto: It took no longer than its objective.
        is_called: A person was called.
    """

    recovery_s: float
    is_within_rto: bool
    is_called: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The shares, 0 to 1; None while nothing was counted.

    Args:
        count: Of how many faults.
        success: Ended without a call for a person.
        rto_compliance: Ended within their objective.
        within_2min: Took at most two minutes.
        within_5min: Took at most five.
        median_s: Half took no longer; None while none was closed.
        p95_s: Of twenty, nineteen took no longer.
    """

    count: int
    success: float | None
    rto_compliance: float | None
    within_2min: float | None
    within_5min: float | None
    median_s: float | None
    p95_s: float | None


@dataclass(slots=True)
class RecoveryRecord:
    """The newest faults that were closed, and what is known of open ones. Not thread-safe."""

    closed: deque[Closed] = field(default_factory=lambda: deque(maxlen=CLOSED_MAX))
    called: dict[str, None] = field(default_factory=dict)
    late: dict[str, None] = field(default_factory=dict)

    def apply(self, payload: Payload | None) -> None:
        """Fold what happened."""
        if isinstance(payload, FaultEscalated):
            _remember(self.called, payload.fault_id)
        elif isinstance(payload, ObjectiveMissed) and payload.fault_id:
            _remember(self.late, payload.fault_id)
        elif isinstance(payload, FaultOpened):
            self._forget(payload.fault_id)
        elif isinstance(payload, FaultClosed):
            is_called = payload.fault_id in self.called
            self._forget(payload.fault_id)
            if payload.outcome is not Outcome.WITHDRAWN:
                self.closed.append(
                    Closed(
                        recovery_s=payload.recovery_s,
                        is_within_rto=payload.is_within_rto,
                        is_called=is_called,
                    )
                )

    def rates(self) -> Rates:
        """Count."""
        took = sorted(one.recovery_s for one in self.closed)
        stuck = {*self.called, *self.late}
        count = len(took) + len(stuck)
        unmended = len(self.called) + sum(one.is_called for one in self.closed)
        late = len(stuck) + sum(not one.is_within_rto for one in self.closed)
        return Rates(
            count=count,
            success=_share(len(took) + len(stuck) - unmended, count),
            rto_compliance=_share(count - late, count),
            within_2min=_share(sum(one <= 120.0 for one in took), count),
            within_5min=_share(sum(one <= 300.0 for one in took), count),
            median_s=took[len(took) // 2] if took else None,
            p95_s=took[min(len(took) - 1, 95 * len(took) // 100)] if took else None,
        )

    def _forget(self, fault_id: str) -> None:
        self.called.pop(fault_id, None)
        self.late.pop(fault_id, None)


def _remember(known: dict[str, None], fault_id: str) -> None:
    known[fault_id] = None
    if len(known) > CLOSED_MAX:
        del known[next(iter(known))]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
