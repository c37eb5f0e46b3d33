"""Opens this machine for faults: the real one."""

from pathlib import Path
from typing import Final

from resile.chaos.asking import DaemonSystem
from resile.chaos.catalogue import FAULTS
from resile.chaos.helpers import OwnCarriers
from resile.chaos.ledger import Ledger
from resile.chaos.port import Host
from resile.contain import remembered
from resile.core.clock import SYSTEM_CLOCK, Clock

FOLDER_NAME: Final = "chaos"
SOCKET_NAME: Final = "resile.sock"


def open_host(
    state: Path, root: Path, *, is_outside_allowed: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Host:
    """Open it; nothing is touched, and the daemon is not asked.

    Args:
        state: The state folder of the system.
        root: The folder of the system, which files must be in.
        is_outside_allowed: Targets that do not belong to this system.
        clock: Measures and waits.
    """
    ledger = Ledger(state / FOLDER_NAME)
    return Host(
        state=state,
        root=root,
        ledger=ledger,
        system=DaemonSystem(state / "run" / SOCKET_NAME),
        carriers=OwnCarriers(ledger),
        faults=FAULTS,
        layout=remembered(state),
        clock=clock,
        is_outside_allowed=is_outside_allowed,
    )
