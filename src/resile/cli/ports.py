"""Is a TCP port free, and if not, whose is it?"""

import contextlib
import errno
import socket
from pathlib import Path

from resile.core.listeners import holders_of


def port_problem(host: str, port: int) -> str:
    """Say why nothing can listen at this address; empty if it can. Binds it for a moment."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        return f"the host {host!r} is not known here: {exc.strerror}"
    family, _, _, _, address = found[0]
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as exc:
        return _explained(exc, host, port)
    return ""


def owner_of(port: int) -> str:
    """Name the process that listens at a port: `PID (COMMAND)`; empty if that cannot be seen.

    Other users' processes are visible to root only.
    """
    for pid in holders_of(port):
        with contextlib.suppress(OSError):
            return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return ""


def _explained(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        owner = owner_of(port)
        who = f"process {owner}" if owner else "another process"
        return f"port {port} is in use by {who}"
    if exc.errno == errno.EACCES:
        return f"port {port} may be used by root only; take one above 1023"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"the host {host!r} is no address of this machine"
    return f"nothing can listen at {host}:{port}: {exc.strerror}"
