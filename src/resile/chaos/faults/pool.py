"""A server that has no connection left: ours are opened, and kept."""

from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import CarriedFault, trouble
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import address_of, path_of

MOST_MAX: Final = 20_000
"""Each is a descriptor on either side."""


class Exhausted(CarriedFault):
    """Connections are opened until the server takes no more, and whatever comes free is taken, too."""

    name = "pool.exhaust"
    text = "open and keep all connections that a server allows"
    target: ClassVar[TargetKind] = TargetKind.ADDRESS
    parameters = (
        Parameter(
            name="protocol",
            kind=Kind.TEXT,
            text="what is said to the server: nothing (tcp), or who we are (postgres)",
            default="tcp",
            choices=("tcp", "postgres"),
        ),
        Parameter(
            name="most",
            kind=Kind.COUNT,
            text="how many are opened at most; so many count as all",
            default=1000,
            low=1,
            high=MOST_MAX,
        ),
        Parameter(
            name="user", kind=Kind.TEXT, text="who we say we are to PostgreSQL", default="postgres"
        ),
        Parameter(
            name="database", kind=Kind.TEXT, text="which database we ask for", default="postgres"
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the server: its address, or its socket's path."""
        if "/" in wish.target:
            return {"path": str(path_of(wish.target, host)), "host": "", "port": 0}
        name, port = address_of(wish.target, host, what="target")
        return {"path": "", "host": name, "port": port}

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether the server took no more, or all that may be opened are open."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        said = host.ledger.said(record.fault_id)
        kept, refused = said.get("kept", 0), said.get("refused", 0)
        is_full = kept >= record.arguments["most"] or (kept > 0 and refused > 0)
        return Proof(
            holds=is_full and bool(host.carriers.living(record.fault_id)),
            detail=f"{kept} connections are kept, {refused} were refused or ended",
        )
