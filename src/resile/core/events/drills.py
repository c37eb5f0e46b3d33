"""The story of drills: what was broken to see whether it mends, how fast it did, and what was lost."""

from dataclasses import dataclass
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import DrillVerdict


class _DrillPayload(Payload):
    """What belongs to one drill."""

    drill_id: str

    @property
    def subject(self) -> str:
        """The drill."""
        return f"drill/{self.drill_id}"

    @property
    def correlation_id(self) -> str:
        """The drill."""
        return self.drill_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillBegun(_DrillPayload):
    """A drill begins; nothing is broken yet. `cells` are its scenarios, by name."""

    kind: ClassVar[str] = "drill.begun"
    drill_id: str
    who: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillProved(_DrillPayload):
    """A scenario of a drill is over, and its fault is gone.

    `cell` names the scenario and what it hits, such as `crash:service/api`; `target` is what the fault hit. Times are in
    seconds after the fault was active; -1 means never. `recovery_s_max` is the target. `acked` writes were acknowledged
    under load, of which `lost` were not there afterwards; -1 where nobody counted. `why` explains every verdict but
    `passed`.
    """

    kind: ClassVar[str] = "drill.proved"
    drill_id: str
    cell: str
    scenario: str
    fault: str
    target: str
    verdict: DrillVerdict
    detected_s: float = -1.0
    recovered_s: float = -1.0
    recovery_s_max: float = 0.0
    acked: int = -1
    lost: int = -1
    failed: int = -1
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnded(_DrillPayload):
    """A drill is over and everything is undone. `score` counts from 0 to 100; what was never proved counts as nothing."""

    kind: ClassVar[str] = "drill.ended"
    drill_id: str
    score: int
    passed: int
    failed: int
    skipped: int
    why: str = ""
