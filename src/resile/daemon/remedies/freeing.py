"""Free the port or the lock that a fault is about, or say who holds it."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from resile.core.clock import Clock
from resile.core.listeners import holders_of, is_taken
from resile.core.process import send_signal
from resile.daemon.remedies.locks import Lock, held_by_both, locks_held
from resile.daemon.remedies.owners import Holder, Owner, Owners
from resile.daemon.remedies.ports import ports_in
from resile.errors import ConfigError, OperationError
from resile.health import CheckKind, CheckSpec
from resile.recover import OpenFault, service_of

FREE_TIMEOUT_S = 3.0
"""The kernel frees the sockets of a killed process within milliseconds."""
HELD_S = 1.0
"""Between two looks at locks: a transaction of ordinary work does not last so long."""
_POLL_S = 0.02
_PORT_KINDS = frozenset({CheckKind.HTTP, CheckKind.TCP})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """Which service holds a lock, and how that is told."""

    service: str
    told: str


class Freeing:
    """Blocks for up to some seconds; safe to share between threads.

    Args:
        owners: Tells whose a process is.
        checks: Tell the ports and the databases of services.
        clock: Waits.
        locks: Lists the locks of a database, or of all. Default: as the kernel tells.
    """

    def __init__(
        self,
        owners: Owners,
        *,
        checks: Sequence[CheckSpec],
        clock: Clock,
        locks: Callable[[Path | None], Sequence[Lock]] = locks_held,
    ) -> None:
        self._owners = owners
        self._checks = checks
        self._clock = clock
        self._locks = locks

    def free_port(self, fault: OpenFault, words: str) -> str:
        """Kill what is left over from this system on the port of a service; give what was done.

        Args:
            fault: Of the service.
            words: What it complained of.

        Raises:
            OperationError: If somebody else holds the port, which it names.
        """
        name = service_of(fault.target) or ""
        ports = list(dict.fromkeys([*self._ports_of(name), *ports_in(words)]))
        port = next((one for one in ports if is_taken(one)), None)
        if port is None:
            said = f"port {ports[0]}" if ports else "the port"
            return f"{said} is free by now"
        holders = self._owners.of(holders_of(port))
        others = [one for one in holders if one.owner is not Owner.LEFTOVER]
        if others or not holders:
            raise _taken(port, others)
        for holder in holders:
            send_signal(holder.identity, signal.SIGKILL)
        self._wait_free(port)
        killed = ", ".join(holder.shown for holder in holders)
        return f"port {port} was held by what an earlier process had left: {killed}; it was killed"

    def find_lock(self, fault: OpenFault) -> FoundLock:
        """Find the service that holds the lock which a fault is about.

        Raises:
            OperationError: If nobody holds it for long, or nobody that is ours, which it names.
        """
        database = self._database_of(fault)
        before = self._locks(database)
        self._clock.sleep(HELD_S)
        held = held_by_both(before, self._locks(database))
        holders = {
            holder.identity.pid: holder for holder in self._owners.of([lock.pid for lock in held])
        }
        known = [(lock, holders[lock.pid]) for lock in held if lock.pid in holders]
        own = service_of(fault.target)
        ours = sorted(
            (pair for pair in known if pair[1].service), key=lambda pair: pair[1].service == own
        )
        if not ours:
            raise _locked(database, known)
        lock, holder = ours[0]
        how = "writes to" if lock.is_write else "reads"
        return FoundLock(
            service=holder.service,
            told=f"{holder.shown} {how} {lock.database} and held its lock for too long: "
            f"{holder.service} is restarted",
        )

    def _wait_free(self, port: int) -> None:
        deadline_s = self._clock.monotonic() + FREE_TIMEOUT_S
        while is_taken(port):
            if self._clock.monotonic() > deadline_s:
                raise OperationError(f"port {port} is still taken after its holder was killed")
            self._clock.sleep(_POLL_S)

    def _ports_of(self, service: str) -> list[int]:
        own = [c for c in self._checks if c.service == service and c.kind in _PORT_KINDS]
        return [port for check in own if (port := _port_of(check.target))]

    def _database_of(self, fault: OpenFault) -> Path | None:
        """Give the database that the check of a fault, or of its service, looks at; None if none does."""
        name = fault.target.partition("/")[2]
        is_service = service_of(fault.target) is not None
        for check in self._checks:
            is_of_it = check.service == name if is_service else check.id == name
            if is_of_it and check.kind is CheckKind.SQLITE:
                return Path(check.target)
        return None


def _port_of(target: str) -> int:
    try:
        return urlsplit(target if "//" in target else f"//{target}").port or 0
    except (ValueError, ConfigError):
        return 0


def _taken(port: int, holders: Sequence[Holder]) -> OperationError:
    if not holders:
        return OperationError(
            f"port {port} is taken by a process of another user",
            hint=f"see whose: sudo ss -ltnp sport = :{port}",
        )
    holder = holders[0]
    hint = f"end it (kill {holder.identity.pid}), or give one of the two another port"
    if holder.service:
        hint = "give one of the two services another port"
    return OperationError(f"port {port} is taken by {holder.shown}", hint=hint)


def _locked(database: Path | None, known: Sequence[tuple[Lock, Holder]]) -> OperationError:
    which = str(database) if database else "a database"
    if not known:
        return OperationError(
            f"nobody holds the lock of {which} for long: many short transactions, or another machine",
            hint="raise the busy time-out of its users",
        )
    lock, holder = known[0]
    return OperationError(
        f"the lock of {lock.database} is held by {holder.shown}, which resile may not restart",
        hint=f"end its transaction, or it: kill {holder.identity.pid}",
    )
