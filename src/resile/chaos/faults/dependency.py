"""A service that others need, stopped: the daemon does it, and starts it again."""

from typing import ClassVar

from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import running, service_of
from resile.core.vocabulary import Phase
from resile.errors import DaemonUnreachableError

_DOWN = (Phase.STOPPED, Phase.STOPPING)


class Down(LastingFault):
    """The service does not run, and nobody starts it."""

    name = "dependency.down"
    text = "stop a service that others need"
    target: ClassVar[TargetKind] = TargetKind.SERVICE
    privilege: ClassVar[Privilege] = Privilege.DAEMON

    def obstacle(self, host: Host) -> str:
        """Tell whether a daemon answers."""
        try:
            host.system.services()
        except DaemonUnreachableError as exc:
            return exc.message
        return ""

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the service, which has to run."""
        service = service_of(wish.target, host)
        running(service)
        return {"service": service.name}

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Ask for its stop."""
        host.system.stop(record.facts["service"])

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is stopped."""
        phase = _phase(record, host)
        return Proof(holds=phase == Phase.STOPPED, detail=f"it is {phase}")

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Ask for its start, unless somebody has started it."""
        if _phase(record, host) in _DOWN:
            host.system.start(record.facts["service"])

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is started again; how well it is, its steady state tells."""
        phase = _phase(record, host)
        return Proof(holds=phase not in _DOWN, detail=f"it is {phase}")


def _phase(record: UndoRecord, host: Host) -> str:
    service = host.system.services().get(record.facts["service"])
    return "not declared any more" if service is None else service.phase
