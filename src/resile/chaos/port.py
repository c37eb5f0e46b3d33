"""What a fault promises, and what of the world it may use."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from resile.chaos.arguments import Parameter
from resile.chaos.ledger import Ledger
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.contain import CgroupLayout
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.process import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the system, as its daemon tells.

    Args:
        name: Its name.
        pid: Of its main process; None while none runs.
        generation: Which life of it; names its control group with its name.
        phase: Where it stands (`core.vocabulary.Phase`).
        state: How well it is (`core.vocabulary.CheckState`).
    """

    name: str
    pid: int | None
    generation: int
    phase: str
    state: str


class System(Protocol):
    """The daemon of the system. Every method raises DaemonUnreachableError if none answers."""

    def services(self) -> Mapping[str, Service]:
        """Give every service by its name."""
        ...

    def brain_pid(self) -> int:
        """Tell the process that decides."""
        ...

    def start(self, service: str) -> None:
        """Ask for a start; returns when the request is durable."""
        ...

    def stop(self, service: str) -> None:
        """Ask for a stop; returns when the request is durable."""
        ...

    def order(self, guard: str, order: str, *, for_s: float | None, why: str) -> None:
        """Order something of a guard in all processes that have it."""
        ...

    def guards(self) -> Sequence[Facts]:
        """Give every guard of every process, with its `guard` and `mode`."""
        ...


class Carriers(Protocol):
    """Processes of our own that make a fault by what they do. They end by themselves with their fault."""

    def start(self, record: UndoRecord, *, count: int = 1, join_files: Sequence[str] = ()) -> None:
        """Start them; returns before they are at work.

        Raises:
            SpawnError: If they cannot be started.
        """
        ...

    def living(self, fault_id: str) -> tuple[Identity, ...]:
        """List those that live."""
        ...

    def kill(self, fault_id: str) -> None:
        """Send each SIGKILL; does not wait. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What faults may use of this machine.

    Args:
        state: The state folder of the system.
        root: The folder that files must be in, unless what is outside is allowed.
        ledger: The undo records.
        system: The daemon.
        carriers: Starts and ends what carries a fault.
        faults: The catalogue, by name.
        layout: Where the control groups of the daemon are; None: nobody knows.
        clock: Measures and waits.
        chance: For choices that nobody made.
        is_outside_allowed: Targets that belong neither to this system nor to the loopback.
    """

    state: Path
    root: Path
    ledger: Ledger
    system: System
    carriers: Carriers
    faults: Mapping[str, "Fault"]
    layout: CgroupLayout | None = None
    clock: Clock = SYSTEM_CLOCK
    chance: random.Random = field(default_factory=random.Random)
    is_outside_allowed: bool = False


class Fault(Protocol):
    """One fault of the catalogue. Stateless: all that is known of an injection is in its record.

    `apply` and `undo` are idempotent, and may be cut at any point: `undo` takes back whatever `apply`
    may have done up to then.
    """

    @property
    def name(self) -> str:
        """Its name: `family.what`."""
        ...

    @property
    def text(self) -> str:
        """What it does, in one line for people."""
        ...

    @property
    def target(self) -> TargetKind:
        """What it hits."""
        ...

    @property
    def privilege(self) -> Privilege:
        """What it needs."""
        ...

    @property
    def is_momentary(self) -> bool:
        """It is over once it was applied: there is nothing to hold or to take back."""
        ...

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Its options."""
        ...

    def obstacle(self, host: Host) -> str:
        """Tell why this machine, or this user, cannot apply it; empty if it can."""
        ...

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Look at what is to be hit, change nothing, and give what undoing it needs.

        Raises:
            ConfigError: If the wish names what does not exist.
            RejectedError: If it may not be hit, or cannot be.
        """
        ...

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Make it so.

        Raises:
            OperationError: If it could not be done, or only in part.
        """
        ...

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is so. Quick: below 0.1 s."""
        ...

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Take it back, as far as it was done.

        Raises:
            OperationError: If it could not be done: it is tried again.
        """
        ...

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether nothing of it is left."""
        ...
