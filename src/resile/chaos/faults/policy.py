"""A guard that lets no call through, or all of them: an order to every process that has it.

The order ends by itself in each process when the fault's time is over, whatever becomes of us.
"""

from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.errors import ConfigError, DaemonUnreachableError

_PREFIX = "guard/"
_AUTOMATIC = "automatic"


class Ordered(LastingFault):
    """A breaker is forced open, or rejects nothing any more."""

    name = "policy.order"
    text = "force a guard open (every call is rejected), or disable it (none is)"
    target: ClassVar[TargetKind] = TargetKind.GUARD
    privilege: ClassVar[Privilege] = Privilege.DAEMON
    parameters = (
        Parameter(
            name="order",
            kind=Kind.TEXT,
            text="what it has to do",
            default="force-open",
            choices=("force-open", "disable"),
        ),
    )

    def obstacle(self, host: Host) -> str:
        """Tell whether a daemon answers."""
        try:
            host.system.guards()
        except DaemonUnreachableError as exc:
            return exc.message
        return ""

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the guard, which nobody may have forced already."""
        name = wish.target.removeprefix(_PREFIX)
        modes = _modes(name, host)
        if not wish.target.startswith(_PREFIX) or not modes:
            known = sorted({str(row["guard"]) for row in host.system.guards()})
            raise ConfigError(
                f"there is no guard {name!r}",
                hint=f"write guard/NAME; there is {', '.join(known) or 'none'}",
            )
        if set(modes) != {_AUTOMATIC}:
            raise ConfigError(
                f"the guard {name!r} is {modes[0]} already",
                hint=f"end that with `resile policies automatic {name}`",
            )
        return {"guard": name}

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Order it, for the time that the fault may last."""
        host.system.order(
            record.facts["guard"],
            record.arguments["order"],
            for_s=record.ttl_s,
            why=f"on purpose: {record.fault_id}",
        )

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether every process that has it obeys."""
        modes = _modes(record.facts["guard"], host)
        is_so = bool(modes) and _AUTOMATIC not in modes
        return Proof(holds=is_so, detail=", ".join(sorted(set(modes))) or "no process has it")

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Let it go by its own counts again."""
        if set(_modes(record.facts["guard"], host)) - {_AUTOMATIC}:
            host.system.order(
                record.facts["guard"], _AUTOMATIC, for_s=None, why=f"{record.fault_id} is over"
            )

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether every process has let it go."""
        modes = set(_modes(record.facts["guard"], host)) - {_AUTOMATIC}
        return Proof(holds=not modes, detail=", ".join(sorted(modes)) or _AUTOMATIC)


def _modes(name: str, host: Host) -> list[str]:
    return [str(row["mode"]) for row in host.system.guards() if row["guard"] == name]
