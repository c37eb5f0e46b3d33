"""Whose a process is: of a service that runs, left over from an earlier one, or somebody else's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from resile.core.process import Identity, identity_of
from resile.core.vocabulary import STATE_VARIABLE
from resile.recover import World

PROC = Path("/proc")
_INIT_PID = 1


class Owner(StrEnum):
    """Whose a process is."""

    SERVICE = "service"
    """Of a service that runs."""
    LEFTOVER = "leftover"
    """A service of this system began it, nobody looks after it any more, and it has no terminal."""
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that holds something.

    Args:
        identity: Which.
        program: Its name.
        owner: Whose it is.
        service: Of which service; empty if of none that runs.
    """

    identity: Identity
    program: str
    owner: Owner
    service: str = ""

    @property
    def shown(self) -> str:
        """Name it for people."""
        whose = f", of the service {self.service}" if self.service else ""
        return f"pid {self.identity.pid} ({self.program}{whose})"


class Owners:
    """Tells whose processes are. Blocks for some file reads; the world is asked for by name only.

    Args:
        world: Tells which services run.
        state: The state folder: what services of this system inherit names it.
        members: Lists the processes of a service's generation.
        guard_pid: Of the guard, which adopts what services leave behind.
    """

    def __init__(
        self,
        world: World,
        *,
        state: Path,
        members: Callable[[str, int], Sequence[int]],
        guard_pid: int,
    ) -> None:
        self._world = world
        self._mark = f"{STATE_VARIABLE}={state}".encode()
        self._members = members
        self._adopters = (_INIT_PID, guard_pid)

    def of(self, pids: Sequence[int]) -> tuple[Holder, ...]:
        """Tell whose some processes are; those that have ended meanwhile are left out."""
        services = self._services()
        found = []
        for pid in sorted(set(pids)):
            identity = identity_of(pid)
            if identity is None:
                continue
            service = services.get(pid, "")
            owner = Owner.SERVICE if service else self._without_service(pid)
            found.append(
                Holder(identity=identity, program=_program_of(pid), owner=owner, service=service)
            )
        return tuple(found)

    def pids_of(self, service: str) -> tuple[int, ...]:
        """List the processes of a service that runs."""
        status = self._world.services.get(service)
        if status is None or status.pid is None:
            return ()
        return tuple({status.pid, *self._members(service, status.generation)})

    def _services(self) -> dict[int, str]:
        return {pid: name for name in list(self._world.services) for pid in self.pids_of(name)}

    def _without_service(self, pid: int) -> Owner:
        parent_pid, terminal = _family_of(pid)
        is_ours = self._mark in _read(PROC / str(pid) / "environ").split(b"\0")
        is_left = parent_pid in self._adopters and not terminal
        return Owner.LEFTOVER if is_ours and is_left else Owner.STRANGER


def _family_of(pid: int) -> tuple[int, int]:
    """Give the parent of a process and its terminal; 0 for what it has not.

    Source: proc_pid_stat(5), fields 4 and 7.
    """
    fields = _read(PROC / str(pid) / "stat").rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[4])) if fields else (0, 0)


def _program_of(pid: int) -> str:
    name = _read(PROC / str(pid) / "comm").decode(errors="replace").strip()
    return "".join(char if char.isprintable() else "?" for char in name) or "unknown"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # It has ended, or is another user's.
        return b""
