"""Packets that do not arrive: between one service and a server, in both directions or in one.

What is open is hit, too, other than by a proxy. A connection that is cut off waits, and begins anew where
it was if that comes soon enough.
"""

from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import CarriedFault, trouble
from resile.chaos.faults.network import DIRECTION, group_of_client
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.proxy.packets import why_not
from resile.chaos.targets import address_of

CLIENT = Parameter(name="client", kind=Kind.TEXT, text="the service that is cut off")


class Dropping(CarriedFault):
    """A share of the packets is dropped."""

    target: ClassVar[TargetKind] = TargetKind.ADDRESS
    privilege: ClassVar[Privilege] = Privilege.ROOT

    def __init__(self, name: str, text: str, *parameters: Parameter) -> None:
        self.name = name
        self.text = text
        self._parameters = (*parameters, CLIENT, DIRECTION)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Its own options, and between whom."""
        return self._parameters

    def obstacle(self, host: Host) -> str:
        """Tell whether the kernel drops packets by group here."""
        return why_not(host.layout.unified if host.layout is not None else "")

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the server and the client."""
        name, port = address_of(wish.target, host, what="target")
        return {
            "server_host": name,
            "server_port": port,
            "group": group_of_client(wish.arguments["client"], name, host),
            "share": wish.arguments.get("share", 1.0),
        }

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether any packet was dropped: where nobody speaks nothing is proven."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        dropped = host.ledger.said(record.fault_id).get("dropped")
        if dropped is None or not host.carriers.living(record.fault_id):
            return Proof(holds=False, detail="no packet is looked at yet")
        return Proof(holds=dropped > 0, detail=f"{dropped} packets were dropped")


PACKET_FAULTS = (
    Dropping("network.partition", "drop every packet between a service and a server"),
    Dropping(
        "network.loss",
        "drop some of the packets between a service and a server",
        Parameter(
            name="share", kind=Kind.SHARE, text="of how many", default=0.3, low=0.001, high=1
        ),
    ),
)
