"""Names that are not found, lead elsewhere, or take long to find: for one service.

What its processes ask a name server comes to a server of ours while the fault lasts. Names that stand in
/etc/hosts are asked of nobody, and what is asked over TLS or HTTPS is not seen.
"""

import ipaddress
from pathlib import Path
from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import CarriedFault, trouble
from resile.chaos.faults.network import group_of_client, latency
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.proxy.resolver import OURS, why_not
from resile.chaos.targets import address_of, running, service_of
from resile.errors import ConfigError, RejectedError

_PORT: Final = 53
_NAME = Parameter(
    name="name", kind=Kind.TEXT, text="only this name and those below it; empty: all", default=""
)
_RESOLVER = Parameter(
    name="resolver",
    kind=Kind.TEXT,
    text="the name server that is asked, HOST:PORT; empty: the one of the service's resolv.conf",
    default="",
)


class Naming(CarriedFault):
    """A name server of ours instead of the true one."""

    target: ClassVar[TargetKind] = TargetKind.SERVICE
    privilege: ClassVar[Privilege] = Privilege.ROOT

    def __init__(self, name: str, text: str, parameter: Parameter) -> None:
        self.name = name
        self.text = text
        self._parameters = (parameter, _NAME, _RESOLVER)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Its own options, and what is asked of whom."""
        return self._parameters

    def obstacle(self, host: Host) -> str:
        """Tell whether questions can be led to us here."""
        return why_not(host.layout.unified if host.layout is not None else "")

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the service, and the name server that it asks."""
        if "address" in wish.arguments:
            _ipv4(wish.arguments["address"])
        pid = running(service_of(wish.target, host))
        given = wish.arguments["resolver"]
        name, port = address_of(given, host, what="resolver") if given else (_resolver(pid), _PORT)
        group = group_of_client(wish.target.removeprefix("service/"), name, host)
        return {"server_host": name, "server_port": port, "group": group}

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether any question was spoilt: where nobody asks nothing is proven."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        said = host.ledger.said(record.fault_id)
        if not host.carriers.living(record.fault_id) or "port" not in said:
            return Proof(holds=False, detail="no question comes to us yet")
        asked, struck = said["connections"], said["struck"]
        return Proof(holds=struck > 0, detail=f"{asked} questions came, {struck} were spoilt")


def _ipv4(text: str) -> str:
    """Check an address.

    Raises:
        ConfigError: If it is none of IPv4.
    """
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ConfigError(f"{text!r} is no IPv4 address", hint="write 127.0.0.1") from None


def _resolver(pid: int) -> str:
    """Give the first name server that a process asks, as resolv.conf(5) says.

    Raises:
        RejectedError: If it cannot be told, or questions to one of them cannot be led to us.
    """
    path = Path(f"/proc/{pid}/root/etc/resolv.conf")
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as exc:
        raise RejectedError(f"{path} cannot be read: {exc.strerror}") from exc
    words = [line.split() for line in lines]
    found = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    if any(":" in one for one in found):
        raise RejectedError(
            "a name server of the service has an IPv6 address",
            hint="only questions over IPv4 are led elsewhere",
        )
    return found[0] if found else OURS


NAME_FAULTS: Final = (
    Naming(
        "dns.fail",
        "let names not be found",
        Parameter(
            name="how",
            kind=Kind.TEXT,
            text="the server fails, says that there is no such name (unknown), or says nothing",
            default="failure",
            choices=("failure", "unknown", "silence"),
        ),
    ),
    Naming(
        "dns.redirect",
        "let names lead to another address",
        Parameter(name="address", kind=Kind.TEXT, text="which, of IPv4"),
    ),
    Naming("dns.slow", "let names take long to find", latency("how much longer")),
)
