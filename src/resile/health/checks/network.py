"""Look at whether something listens: tcp and unix sockets, and the connection that http uses."""

import socket

from resile.errors import ConfigError
from resile.health.checks.port import Deadline, Finding, LookContext, down, up
from resile.health.model import CheckSpec

PORT_MAX = 65535


def look_tcp(spec: CheckSpec, context: LookContext) -> Finding:
    """Connect to `HOST:PORT` and hang up."""
    host, port = parse_address(spec.target)
    with connect(host, port, Deadline(context.clock, spec.timeout_s)):
        return up(f"{spec.target} accepts connections")


def look_unix(spec: CheckSpec, context: LookContext) -> Finding:
    """Connect to a Unix stream socket and hang up."""
    deadline = Deadline(context.clock, spec.timeout_s)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(deadline.left_s())
        try:
            sock.connect(spec.target)
        except BlockingIOError:
            # Unlike TCP, a full backlog of a Unix socket answers at once (unix(7), EAGAIN).
            return down(f"the listen queue of {spec.target} is full")
    return up(f"{spec.target} accepts connections")


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address of a host that answers, all within one deadline.

    Finding the addresses of a name is the resolver's business and not bounded here; the
    scheduler sees a look that outlives its slot.

    Raises:
        OSError: The last failure. TimeoutError when the deadline passed.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left_s())
            sock.connect(address)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    raise failure


def parse_address(target: str) -> tuple[str, int]:
    """Read `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ConfigError: If the target is neither.
    """
    host, _, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise ConfigError(f"{target!r} is not HOST:PORT", hint="write 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)
