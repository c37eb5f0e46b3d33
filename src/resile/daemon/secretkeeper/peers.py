"""Who is at the other end of a connection, as the kernel tells it; what it says of itself counts for nothing.

Source: unix(7) for SO_PEERCRED; SO_PEERPIDFD came with Linux 6.5.
"""

import contextlib
import os
import re
import select
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from resile.contain.cgroups import MARK, CgroupLayout
from resile.core.process import identity_of
from resile.core.unix import peer_of
from resile.daemon.lanes import Instance
from resile.daemon.lanes.whose import service_of
from resile.daemon.secretkeeper.decide import client_of
from resile.daemon.secretkeeper.model import Client, Facts
from resile.errors import SecretDeniedError

_SO_PEERPIDFD = 77
"""Not in the socket module before Python 3.14."""
_PARENTS_MAX = 32
"""Deeper is no service's tree, or a loop of pids that were given anew while we looked."""
_ENVIRON_BYTES_MAX = 1 << 20
_PROGRAM_LENGTH_MAX = 60
_UNSHOWN = re.compile(r"[^A-Za-z0-9_.+-]+")
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*t?")
_OPTIONS_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})


class Peers:
    """Tells clients from their connections. Safe to share between threads.

    Args:
        layout: Where the daemon's groups are; None: nobody knows.
        unit: The daemon's.
    """

    def __init__(self, layout: CgroupLayout | None, *, unit: str) -> None:
        self._unit = unit
        self._uid = os.geteuid()
        self._places = tuple(_group_paths(layout)) if layout is not None else ()
        self._is_marked = not self._places
        self._namespace = _pid_namespace("self")
        self.running: Mapping[str, Instance] = {}
        """The services that run, as the brain says: who drops the mark may still be their child."""

    def client_of(self, sock: socket.socket) -> Client:
        """Tell who is at the other end.

        Raises:
            SecretDeniedError: If such a process gets nothing, or has ended.
        """
        peer = peer_of(sock)
        with _held(sock) as pidfd:
            facts = self._look(peer.pid, peer.uid)
            # All that was read is of the process that connected if that lives: only then is its pid its own.
            if pidfd is not None and select.select([pidfd], [], [], 0)[0]:
                raise SecretDeniedError("this process gets no secrets: it has ended")
        return client_of(facts, uid=self._uid, unit=self._unit, places=self._places)

    def _look(self, pid: int, uid: int) -> Facts:
        identity = identity_of(pid) if pid else None
        if identity is None:
            return Facts(pid=0, uid=uid)
        return Facts(
            pid=pid,
            uid=uid,
            start_ticks=identity.start_ticks,
            is_near=self._namespace != "" and _pid_namespace(pid) == self._namespace,
            groups=_groups(pid),
            mark=(_mark(pid) or self._inherited(pid)) if self._is_marked else "",
            program=program_of(pid),
        )

    def _inherited(self, pid: int) -> str:
        """Give the mark of the service whose child a process is; empty if it is none's."""
        name = service_of(pid, self.running)
        return f"{self._unit}/{name}-{self.running[name].generation}" if name else ""


@contextlib.contextmanager
def _held(sock: socket.socket) -> Iterator[int | None]:
    """Hold the process that connected, so that its end is seen; None where the kernel cannot.

    Raises:
        SecretDeniedError: If it has ended.
    """
    try:
        pidfd = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except ProcessLookupError as exc:
        raise SecretDeniedError("this process gets no secrets: it has ended") from exc
    except OSError:
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def program_of(pid: int) -> str:
    """Name the program of a process: its executable, or the script that Python runs in it."""
    try:
        name = Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
        if _INTERPRETER.fullmatch(name):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()[:4096].decode(errors="replace")
            name = _script(words.split("\0")[1:]) or name
    except OSError:
        name = ""
    return _UNSHOWN.sub("_", name)[:_PROGRAM_LENGTH_MAX]


def _script(words: list[str]) -> str:
    """Find the script or the module among the arguments of an interpreter; empty if there is none."""
    rest = iter(words)
    for word in rest:
        if word == "-m":
            return next(rest, "")
        if word in _OPTIONS_WITH_VALUE:
            next(rest, "")
        elif word in ("-c", "-"):
            return ""
        elif not word.startswith("-"):
            return Path(word).name
    return ""


def _pid_namespace(pid: int | str) -> str:
    """Name the pid namespace of a process; empty if it may not be looked at."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _groups(pid: int) -> tuple[str, ...]:
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(line.split(":", 2)[2] for line in text.splitlines() if line.count(":") >= 2)


def _mark(pid: int) -> str:
    """Find what names the group of a process, or of the nearest of those that started it."""
    for _ in range(_PARENTS_MAX):
        try:
            with Path(f"/proc/{pid}/environ").open("rb") as file:
                words = file.read(_ENVIRON_BYTES_MAX).split(b"\0")
            parent = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1]
        except (OSError, IndexError):
            return ""
        for word in words:
            if word.startswith(MARK.encode() + b"="):
                return word.partition(b"=")[2].decode(errors="replace")
        pid = int(parent)
        if pid <= 1:
            return ""
    return ""


def _group_paths(layout: CgroupLayout) -> Iterator[str]:
    """Give the paths of the daemon's groups as /proc/PID/cgroup says them, not as they are mounted."""
    folders = [one for one in (layout.unified, *layout.controllers.values()) if one]
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        if after.split(maxsplit=1)[0] in ("cgroup", "cgroup2"):
            for folder in folders:
                if folder.startswith(f"{point}/"):
                    yield root.rstrip("/") + folder.removeprefix(point)
