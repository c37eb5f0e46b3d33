"""What drills are made of: scenarios, the cells of their matrix, and what each of them has shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from resile.core.vocabulary import DrillVerdict

FAILED = (
    DrillVerdict.SLOW,
    DrillVerdict.LOST,
    DrillVerdict.UNSEEN,
    DrillVerdict.NOT_MENDED,
    DrillVerdict.INCONCLUSIVE,
    DrillVerdict.INTERRUPTED,
)
"""Verdicts that are no proof of anything good; an interrupted one was not tried to its end."""
MISSED = (DrillVerdict.LOST, DrillVerdict.UNSEEN, DrillVerdict.NOT_MENDED)
"""Those of them that say that something is wrong, and not merely slow."""


class Aim(StrEnum):
    """What a scenario hits; it has one cell for each of them that is declared."""

    SERVICE = "service"
    """Each `[service.NAME]`."""
    LOADED = "loaded"
    """The service that takes the load."""
    LIMITED = "limited"
    """Each service with `limits.memory`."""
    LEAKING = "leaking"
    """Each of these that is restarted before the kernel kills it: `oom = "restart"`."""
    PROBED = "probed"
    """Each service that is looked at while it runs: with a live check, a ready check or a watchdog."""
    DEPENDENCY = "dependency"
    """Each service but the one that takes the load."""
    LISTENING = "listening"
    """Each service that is looked at over TCP on the loopback."""
    REACHED = "reached"
    """Each of these but the one that takes the load: what passes between the two is hit."""
    DATA = "data"
    """Each `[snapshot.NAME]`'s folder."""
    PROTECTED = "protected"
    """Each of these that says `protect = true`."""
    DATABASE = "database"
    """The file of each SQLite database that a check looks at."""
    STORE = "store"
    """The packs of `[store]`, where there are snapshots and a replica or parity to mend from."""
    SECRET = "secret"  # noqa: S105 - the word
    """Each `[secret.NAME]` with a rotator."""
    BRAIN = "brain"
    """The process that decides."""
    RUN = "run"
    """A contained command of the drill's own."""


class Proof(StrEnum):
    """What has to be seen until a scenario has passed."""

    MENDED = "mended"
    """It is noticed, and everything is well again while the fault would still last."""
    BORNE = "borne"
    """What takes the load answers well while the fault lasts, and all is well when it is over."""
    CONTAINED = "contained"
    """The command is ended, nothing of it lives, and nothing that it changed is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that may happen.

    Args:
        name: What it is called, such as `crash`.
        text: What happens, in one line for people.
        fault: The fault of the catalogue, or another word for what is done.
        aim: What it hits.
        proof: What has to be seen.
        arguments: The fault's options.
        hold_s: How long it lasts if nobody mends it, in seconds; 0: it is over at once.
        detection_s_max: It has to be noticed so soon; 0: nobody needs to notice.
        recovery_s_max: All has to be well again so soon.
        signs: Kinds of events that show that it was noticed.
        is_replacing: A mended service is another process than before.
        is_unwatched: The brain is killed a moment before, so that a new one has to find it and mend it.
        restarts: How often it makes a service restart.
        is_seamless: No request may fail meanwhile.
        counts_from_detection: Recovery is measured from when it was noticed: nobody can notice it at once.
        times: How often a fault that is over at once is repeated.
    """

    name: str
    text: str
    fault: str
    aim: Aim
    proof: Proof
    arguments: Mapping[str, Any] = field(default_factory=dict)
    hold_s: float = 0.0
    detection_s_max: float = 5.0
    recovery_s_max: float = 10.0
    signs: tuple[str, ...] = ("fault.opened",)
    is_replacing: bool = False
    is_unwatched: bool = False
    restarts: int = 0
    is_seamless: bool = False
    counts_from_detection: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A scenario and what it hits.

    Args:
        scenario: What happens.
        target: To what: `service/NAME`, `brain`, `secret/NAME`, `run`, or a path.
        obstacle: Why it cannot be done here; empty if it can.
    """

    scenario: Scenario
    target: str
    obstacle: str = ""

    @property
    def name(self) -> str:
        """Scenario and target, such as `crash:service/api`."""
        return f"{self.scenario.name}:{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened during a scenario.

    Args:
        at: When; aware, UTC.
        text: What, in one sentence.
    """

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What a scenario has shown.

    Args:
        cell: Its name, such as `crash:service/api`.
        scenario: The scenario's name.
        fault: What was done.
        target: To what.
        verdict: What it has shown.
        detected_s: Noticed so many seconds after the fault was begun; -1: never.
        recovered_s: All was well again so many seconds after the fault was begun; -1: never.
        detection_s_max: The bar for `detected_s`; 0: none.
        recovery_s_max: The bar for `recovered_s`.
        acked: Writes that were acknowledged under load; -1: nobody counted.
        lost: Of these, not there afterwards; -1: nobody counted.
        failed: Requests that failed; -1: nobody asked.
        why: Explains every verdict but `passed`.
        began_at: When the fault was begun; None if it never was. Aware, UTC.
        timeline: What the journal and the drill saw, in order.
    """

    cell: str
    scenario: str
    fault: str
    target: str
    verdict: DrillVerdict
    detected_s: float = -1.0
    recovered_s: float = -1.0
    detection_s_max: float = 0.0
    recovery_s_max: float = 0.0
    acked: int = -1
    lost: int = -1
    failed: int = -1
    why: str = ""
    began_at: datetime | None = None
    timeline: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A whole drill.

    Args:
        id: Its id.
        who: Began it.
        began_at: When; aware, UTC.
        ended_at: When it was over and everything undone.
        results: Of each cell, in the order of the drill.
        why: Why it ended early; empty if it did not.
    """

    id: str
    who: str
    began_at: datetime
    ended_at: datetime
    results: tuple[CellResult, ...]
    why: str = ""

    def count(self, *verdicts: DrillVerdict) -> int:
        """Tell how many cells have one of these verdicts."""
        return sum(result.verdict in verdicts for result in self.results)

    @property
    def failed(self) -> int:
        """Count what was tried to its end and proved nothing good."""
        return self.count(*FAILED) - self.untried

    @property
    def untried(self) -> int:
        """Count what was not tried, or not to its end, because the drill was interrupted."""
        return self.count(DrillVerdict.INTERRUPTED)
