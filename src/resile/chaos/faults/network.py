"""A network that is slow, narrow, torn or silent: a proxy between a client and its server.

The client either connects to the proxy (`listen`), or its connections are redirected there while the fault
lasts (`client`), which needs root and cgroup v2.
"""

import ipaddress
from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import CarriedFault, trouble
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.proxy.redirect import why_not
from resile.chaos.targets import address_of, running, service_of
from resile.errors import ConfigError, RejectedError

_LISTEN = Parameter(
    name="listen",
    kind=Kind.TEXT,
    text="where the proxy takes connections, HOST:PORT; empty: a free port, for `client`",
    default="",
)
_CLIENT = Parameter(
    name="client",
    kind=Kind.TEXT,
    text="the service whose connections to the server are redirected; needs root",
    default="",
)
DIRECTION = Parameter(
    name="direction",
    kind=Kind.TEXT,
    text="what is spoilt: to the server (up), from it (down), or both",
    default="both",
    choices=("both", "up", "down"),
)


def latency(text: str) -> Parameter:
    """Make an option that says how late something is."""
    return Parameter(name="latency", kind=Kind.DURATION, text=text, low=0.001, high=300)


class Proxied(CarriedFault):
    """A proxy with one toxic, in front of the server that is the target."""

    target: ClassVar[TargetKind] = TargetKind.ADDRESS

    def __init__(self, name: str, text: str, *parameters: Parameter) -> None:
        self.name = name
        self.text = text
        direction = () if name.startswith("http.") else (DIRECTION,)
        self._parameters = (*parameters, _LISTEN, _CLIENT, *direction)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Its own options, and those of the proxy."""
        return self._parameters

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the server, the client, and where to listen."""
        server_host, server_port = address_of(wish.target, host, what="target")
        listen, client = wish.arguments["listen"], wish.arguments["client"]
        if not listen and not client:
            raise ConfigError(
                f"{self.name}: nobody would connect to the proxy",
                hint="say listen=127.0.0.1:PORT, or client=SERVICE",
            )
        name, port = address_of(listen, host, what="listen") if listen else (server_host, 0)
        group = self._redirected(client, server_host, host) if client else ""
        return {
            "server_host": server_host,
            "server_port": server_port,
            "host": name,
            "port": port,
            "group": group,
        }

    def _redirected(self, client: str, server_host: str, host: Host) -> str:
        group = group_of_client(client, server_host, host)
        if why := why_not(host.layout.unified if host.layout is not None else ""):
            raise RejectedError(
                why, hint="let the client connect to a proxy: listen=127.0.0.1:PORT"
            )
        return group

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it has spoilt anything: a proxy that nobody uses proves nothing."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        said = host.ledger.said(record.fault_id)
        if not host.carriers.living(record.fault_id) or "port" not in said:
            return Proof(holds=False, detail="the proxy does not listen yet")
        came, struck = said["connections"], said["struck"]
        detail = f"at port {said['port']}, {came} connections came, hit {struck} times"
        return Proof(holds=struck > 0, detail=detail)


NETWORK_FAULTS: Final = (
    Proxied(
        "network.latency",
        "let everything arrive late",
        latency("how late"),
        Parameter(
            name="jitter",
            kind=Kind.DURATION,
            text="how much earlier or later than that",
            default=0.0,
            high=300,
        ),
    ),
    Proxied(
        "network.bandwidth",
        "let only so much through",
        Parameter(name="rate", kind=Kind.SIZE, text="bytes in a second", low=1, high=1 << 40),
    ),
    Proxied(
        "network.reset",
        "cut each connection (ECONNRESET)",
        Parameter(
            name="after",
            kind=Kind.DURATION,
            text="how long after its begin",
            default=0.0,
            high=3600,
        ),
    ),
    Proxied("network.blackhole", "take everything, and hand nothing on"),
    Proxied(
        "network.slicer",
        "hand small pieces on, each for itself",
        Parameter(
            name="size",
            kind=Kind.SIZE,
            text="bytes in a piece",
            default=1,
            low=1,
            high=1 << 16,
        ),
        Parameter(
            name="pause", kind=Kind.DURATION, text="after each piece", default=0.001, high=60
        ),
    ),
    Proxied(
        "network.limit",
        "close each connection after so much",
        Parameter(name="size", kind=Kind.SIZE, text="bytes", low=0, high=1 << 40),
    ),
    Proxied(
        "network.corrupt",
        "flip a bit of some pieces",
        Parameter(name="share", kind=Kind.SHARE, text="of how many pieces", default=1.0, high=1),
    ),
    Proxied(
        "network.fail_first",
        "cut the first connections, and let all others through",
        Parameter(name="count", kind=Kind.COUNT, text="how many", default=1, low=1, high=1_000_000),
    ),
)


_SHARE: Final = Parameter(
    name="share", kind=Kind.SHARE, text="of how many requests", default=1.0, high=1
)
HTTP_FAULTS: Final = (
    Proxied(
        "http.error",
        "answer requests with an error instead of the server",
        Parameter(
            name="status",
            kind=Kind.COUNT,
            text="the answer's status",
            default=503,
            low=400,
            high=599,
        ),
        _SHARE,
    ),
    Proxied(
        "http.delay",
        "let requests wait before the server gets them",
        latency("how long"),
        _SHARE,
    ),
)


def group_of_client(client: str, server_host: str, host: Host) -> str:
    """Give the folder of the client's group, by which its sockets are told.

    Raises:
        ConfigError: If there is no such service.
        RejectedError: If they cannot be.
    """
    service = service_of(f"service/{client}", host)
    running(service)
    if not _is_ipv4(server_host):
        raise RejectedError(
            f"only connections to an IPv4 address are told by group, and {server_host} is none",
            hint="write the server as 127.0.0.1:PORT",
        )
    unified = host.layout.unified if host.layout is not None else ""
    return f"{unified}/{service.name}-{service.generation}"


def _is_ipv4(name: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(name), ipaddress.IPv4Address)
    except ValueError:
        return False
