"""The story of faults on purpose: what was injected, when it was undone, and what an experiment has shown."""

from dataclasses import dataclass
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.verdicts import ExperimentVerdict


class _InjectionPayload(Payload):
    """What belongs to one fault on purpose."""

    fault_id: str
    target: str
    experiment_id: str

    @property
    def subject(self) -> str:
        """What the fault hits."""
        return self.target or "machine"

    @property
    def correlation_id(self) -> str:
        """The experiment; the fault itself if it belongs to none."""
        return self.experiment_id or self.fault_id


class _ExperimentPayload(Payload):
    """What belongs to one experiment."""

    experiment_id: str

    @property
    def subject(self) -> str:
        """The experiment."""
        return f"experiment/{self.experiment_id}"

    @property
    def correlation_id(self) -> str:
        """The experiment."""
        return self.experiment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(_InjectionPayload):
    """A fault is injected on purpose, now; what undoes it is durable already.

    `target` is `service/NAME`, `pid/NUMBER`, a path or an address; it ends by itself after `ttl_s`.
    """

    kind: ClassVar[str] = "chaos.injected"
    fault_id: str
    fault: str
    target: str
    ttl_s: float
    who: str
    experiment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultUndone(_InjectionPayload):
    """A fault on purpose was taken back.

    `by` is `engine`, `watchdog` or `operator`; `is_gone` tells whether that could be proven.
    """

    kind: ClassVar[str] = "chaos.undone"
    fault_id: str
    fault: str
    target: str
    by: str
    why: str
    is_gone: bool
    detail: str = ""
    experiment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentBegun(_ExperimentPayload):
    """An experiment with faults on purpose begins; nothing is injected yet."""

    kind: ClassVar[str] = "experiment.begun"
    experiment_id: str
    title: str
    faults: tuple[str, ...]
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentEnded(_ExperimentPayload):
    """An experiment is over, and every fault of it is undone.

    `recovered_s` is the time from the end of its method until the steady state held; null if it did not.
    """

    kind: ClassVar[str] = "experiment.ended"
    experiment_id: str
    title: str
    verdict: ExperimentVerdict
    reason: str
    duration_s: float
    recovered_s: float | None = None
