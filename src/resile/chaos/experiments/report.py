"""What came of an experiment: every step with its time, every fault with its proofs, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from resile.chaos.decide import Seen
from resile.core.codec import encode
from resile.core.verdicts import ExperimentVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What came of one step. Times are seconds since the experiment began.

    Args:
        name: Of the step.
        kind: `fault`, `action`, `probe`, `pause`, `steady` or `rollback`.
        began_s: When.
        took_s: For how long.
        is_ok: It did what it should; None: nobody said what that is.
        detail: What it gave, or why it failed.
    """

    name: str
    kind: str
    began_s: float
    took_s: float
    is_ok: bool | None
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class FaultReport:
    """What came of one fault. Times are seconds since the experiment began; None: never.

    Args:
        fault_id: Which one; empty if it was not begun.
        fault: Its name.
        target: What it hit.
        obstacle: Why it was not applied; empty if it was.
        applied_s: When it was applied.
        proven_s: When it was seen to be active.
        ended_s: When it was taken back.
        is_gone: It was seen to be gone.
        detail: What the last look showed.
        said: What its carrier counted in the end: requests, answers, connections; empty for most.
    """

    fault_id: str
    fault: str
    target: str
    said: Mapping[str, Any] = field(default_factory=dict)
    obstacle: str = ""
    applied_s: float | None = None
    proven_s: float | None = None
    ended_s: float | None = None
    is_gone: bool = True
    detail: str = ""

    @property
    def seen(self) -> Seen:
        """What the verdict is made of."""
        return Seen(
            fault=f"{self.fault} {self.target}".strip(),
            obstacle=self.obstacle,
            is_proven=self.proven_s is not None,
            is_gone=self.is_gone,
            detail=self.detail,
        )


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of an experiment. Times are seconds since it began.

    Args:
        experiment_id: Which one.
        title: For people.
        began_at: When; aware, UTC.
        verdict: What it has shown.
        reason: Why; empty for a pass.
        steps: The steps that were begun.
        faults: Its faults.
        method_ended_s: When the method had ended, or was cut.
        recovered_s: So long after that the steady state held; None: it did not, or nobody looked.
        abort_s: So long after what ended it early every fault was taken back; None: it was not.
        duration_s: For all of it.
        warnings: What of the file was not done.
    """

    experiment_id: str
    title: str
    began_at: datetime
    verdict: ExperimentVerdict = ExperimentVerdict.INCONCLUSIVE
    reason: str = ""
    steps: list[StepReport] = field(default_factory=list)
    faults: list[FaultReport] = field(default_factory=list)
    method_ended_s: float | None = None
    recovered_s: float | None = None
    abort_s: float | None = None
    duration_s: float = 0.0
    warnings: tuple[str, ...] = ()

    def as_data(self) -> Mapping[str, Any]:
        """Write it as JSON data."""
        found: Mapping[str, Any] = encode(self)
        return found
