"""Find what a target names, and refuse what is not ours to hit.

By default only the services of this system, our own children, files in the system's folder and servers
on the loopback may be hit.
"""

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

from resile.chaos.port import Host, Service
from resile.contain import Cgroup, open_tree
from resile.core.process import Identity, identity_of
from resile.errors import ConfigError, RejectedError
from resile.health import read_stat

OUTSIDE_HINT = "say --outside to hit what does not belong to this system"
_PARENTS_MAX = 64
BRAIN = "brain"
_SERVICE, _PID = "service/", "pid/"


def service_of(target: str, host: Host) -> Service:
    """Give the service that a target names.

    Raises:
        ConfigError: If it names none.
        DaemonUnreachableError: If no daemon answers.
    """
    name = target.removeprefix(_SERVICE)
    if not target.startswith(_SERVICE) or not name:
        raise ConfigError(f"{target!r} is no service", hint="write service/NAME")
    services = host.system.services()
    if name not in services:
        known = ", ".join(sorted(services)) or "none"
        raise ConfigError(f"there is no service {name!r}", hint=f"there is {known}")
    return services[name]


def running(service: Service) -> int:
    """Give the main process of a service.

    Raises:
        RejectedError: If none runs.
    """
    if service.pid is None:
        raise RejectedError(
            f"{service.name} does not run: it is {service.phase}", hint="start it first"
        )
    return service.pid


def group_of(service: Service, host: Host) -> Cgroup:
    """Give the control group of a running service.

    Raises:
        RejectedError: If it has none.
    """
    if host.layout is None:
        raise RejectedError(
            "nobody knows where the control groups of this system are",
            hint="start it with `resile up`",
        )
    return open_tree(host.layout).adopt(f"{service.name}-{service.generation}")


def main_of(target: str, host: Host) -> Identity:
    """Give the process that a target names: the main one of a service, the brain, or one by its pid.

    Raises:
        ConfigError: If it names none.
        RejectedError: If it does not run, or may not be hit.
    """
    if target.startswith(_SERVICE):
        return _identity(running(service_of(target, host)), target)
    if target == BRAIN:
        return _identity(host.system.brain_pid(), target)
    number = target.removeprefix(_PID)
    if not target.startswith(_PID) or not number.isdecimal():
        raise ConfigError(
            f"{target!r} is no process", hint="write service/NAME, brain, or pid/NUMBER"
        )
    who = _identity(int(number), target)
    _refuse_foreign(who, host)
    return who


def members_of(target: str, host: Host) -> tuple[Identity, ...]:
    """Give all processes of a service, its main one first; of other targets the one that they name.

    Raises: As `main_of`.
    """
    main = main_of(target, host)
    if not target.startswith(_SERVICE) or host.layout is None:
        return (main,)
    pids = group_of(service_of(target, host), host).pids()
    others = (identity_of(pid) for pid in pids if pid != main.pid)
    return (main, *(who for who in others if who is not None))


def path_of(target: str, host: Host) -> Path:
    """Give the path that a target names, links followed.

    Raises:
        ConfigError: If there is nothing.
        RejectedError: If it is not in the system's folder.
    """
    path = Path(target)
    path = (path if path.is_absolute() else host.root / path).resolve()
    if not path.exists():
        raise ConfigError(f"{path} does not exist", hint="name what is there")
    if not host.is_outside_allowed and not path.is_relative_to(host.root.resolve()):
        raise RejectedError(f"{path} is not in {host.root}", hint=OUTSIDE_HINT)
    return path


def address_of(text: str, host: Host, *, what: str) -> tuple[str, int]:
    """Read `HOST:PORT`.

    Args:
        text: What was written; `:PORT` is on 127.0.0.1.
        host: Says whether others than the loopback may be hit.
        what: What the address is, for the error.

    Raises:
        ConfigError: If it is none.
        RejectedError: If it is not on the loopback.
    """
    name, _, port = text.rpartition(":")
    name = name.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"{what}: {text!r} is no address", hint="write 127.0.0.1:8080")
    if not is_loopback(name) and not host.is_outside_allowed:
        raise RejectedError(f"{what}: {name} is not on the loopback", hint=OUTSIDE_HINT)
    return name, int(port)


def is_loopback(name: str) -> bool:
    """Tell whether a host name is surely this machine's own."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _identity(pid: int, target: str) -> Identity:
    who = identity_of(pid)
    if who is None:
        raise RejectedError(f"{target} does not run", hint="name a process that does")
    return who


def _refuse_foreign(who: Identity, host: Host) -> None:
    """Refuse what belongs to nobody here, and always ourselves and what we hang on.

    Raises:
        RejectedError: If it may not be hit.
    """
    if who.pid == os.getpid() or who.pid in _parents(os.getpid()) or who.pid <= 1:
        raise RejectedError(f"process {who.pid} is this one, or one above it", hint="name another")
    if host.is_outside_allowed or os.getpid() in _parents(who.pid):
        return
    if who.pid not in _service_pids(host):
        raise RejectedError(f"process {who.pid} is none of this system", hint=OUTSIDE_HINT)


def _service_pids(host: Host) -> frozenset[int]:
    pids: set[int] = set()
    for service in host.system.services().values():
        if service.pid is not None:
            pids.add(service.pid)
            if host.layout is not None:
                pids.update(group_of(service, host).pids())
    return frozenset(pids)


def _parents(pid: int) -> frozenset[int]:
    return frozenset(_upwards(pid))


def _upwards(pid: int) -> Iterator[int]:
    for _ in range(_PARENTS_MAX):
        stat = read_stat(pid)
        if stat is None or stat.parent_pid <= 0:
            return
        pid = stat.parent_pid
        yield pid
