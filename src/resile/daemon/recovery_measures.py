"""How good recovery is, as metrics; it begins with what the journal holds."""

from resile.core.events import ActionStarted, Payload, PlanDecided, RotationEnded
from resile.core.journal import Journal, Query
from resile.core.metrics import Registry
from resile.core.vocabulary import ActionKind, RotationOutcome
from resile.recover.rates import CLOSED_MAX, KINDS, RecoveryRecord

_RECORDS_MAX = 4 * CLOSED_MAX
"""A fault has at most four events of these kinds, but for those that are escalated again."""


class RecoveryMeasures:
    """Lives on the brain's event loop.

    Args:
        registry: Where they are kept.
    """

    def __init__(self, registry: Registry) -> None:
        self.record = RecoveryRecord()
        self._success = registry.gauge(
            "resile_recovery_success_rate",
            "Share of the newest 1000 faults that ended without a call for a person; 1 if there was none.",
        )
        self._compliance = registry.gauge(
            "resile_recovery_rto_compliance_rate",
            "Share of the newest 1000 faults that ended within their recovery time objective; 1 if there was none.",
        )
        self._rollbacks = registry.counter(
            "resile_recovery_rollbacks_total",
            "What was taken back because it did not help or did not work, by what.",
            labels=("what",),
        )

    def read(self, journal: Journal) -> None:
        """Take up what the journal holds. Blocks."""
        query = Query(kinds=KINDS, limit=_RECORDS_MAX, is_newest_first=True)
        for record in reversed(journal.read(query)):
            self.record.apply(record.event.payload())

    def apply(self, payload: Payload | None) -> None:
        """Count what was recorded."""
        self.record.apply(payload)
        if isinstance(payload, PlanDecided) and payload.is_undo:
            self._rollbacks.add(what="plan")
        elif isinstance(payload, ActionStarted) and payload.action is ActionKind.ROLL_BACK:
            self._rollbacks.add(what="change")
        elif _is_rotation_undone(payload):
            self._rollbacks.add(what="rotation")

    def refresh(self) -> None:
        """Set the gauges."""
        rates = self.record.rates()
        self._success.set(1.0 if rates.success is None else rates.success)
        self._compliance.set(1.0 if rates.rto_compliance is None else rates.rto_compliance)


def _is_rotation_undone(payload: Payload | None) -> bool:
    if not isinstance(payload, RotationEnded):
        return False
    return payload.outcome is RotationOutcome.ROLLED_BACK
