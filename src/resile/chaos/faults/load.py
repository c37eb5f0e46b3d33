"""More requests than usual."""

from typing import ClassVar
from urllib.parse import urlsplit

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import CarriedFault
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import address_of
from resile.errors import ConfigError

_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")


class Spike(CarriedFault):
    """Requests at a fixed rate, whether they are answered or not."""

    name = "load.spike"
    text = "send requests at a fixed rate, whether they are answered or not"
    target: ClassVar[TargetKind] = TargetKind.URL
    parameters = (
        Parameter(
            name="rate",
            kind=Kind.COUNT,
            text="requests in a second",
            default=20,
            low=1,
            high=2000,
        ),
        Parameter(name="method", kind=Kind.TEXT, text="how", default="GET", choices=_METHODS),
        Parameter(name="body", kind=Kind.TEXT, text="what is sent", default=""),
        Parameter(name="type", kind=Kind.TEXT, text="what the body is", default="application/json"),
        Parameter(
            name="in_flight",
            kind=Kind.COUNT,
            text="at most so many at once; what is due above that is counted as missed",
            default=100,
            low=1,
            high=1000,
        ),
        Parameter(
            name="timeout",
            kind=Kind.DURATION,
            text="for each answer",
            default=5.0,
            low=0.01,
            high=300,
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Check the URL."""
        parts = urlsplit(wish.target)
        is_clean = wish.target.isascii() and wish.target.isprintable() and " " not in wish.target
        if parts.scheme != "http" or not parts.hostname or not is_clean or "@" in parts.netloc:
            raise ConfigError(
                f"{wish.target!r} is no URL to ask", hint="write http://127.0.0.1:80/"
            )
        address_of(f"{parts.hostname}:{parts.port or 80}", host, what="target")
        if not wish.arguments["type"].isprintable():
            raise ConfigError("the type of the body has control characters")
        return {}

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether requests are sent."""
        said = host.ledger.said(record.fault_id)
        is_sent = said.get("sent", 0) > 0 and bool(host.carriers.living(record.fault_id))
        detail = ", ".join(f"{said[name]} {name}" for name in _SHOWN if name in said)
        return Proof(holds=is_sent, detail=detail or "nothing was sent yet")


_SHOWN = ("sent", "answered", "failed", "missed")
