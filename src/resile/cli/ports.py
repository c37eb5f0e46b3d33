"""Is a TCP port free, and if not, whose is it?"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


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
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    if not inodes:
        return ""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and inodes & set(_descriptors(folder)):
            with contextlib.suppress(OSError):
                return f"{folder.name} ({(folder / 'comm').read_text().strip()})"
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


def _listening(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _descriptors(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())
