"""Every fault that there is, by its name."""

import difflib
from collections.abc import Mapping
from typing import Final

from resile.chaos.faults import (
    bits,
    clock,
    cpu,
    dependency,
    descriptors,
    disk,
    limits,
    load,
    locks,
    memory,
    names,
    network,
    packets,
    policy,
    pool,
    ports,
    process,
    readonly,
    rot,
    secret,
    syscalls,
    writes,
)
from resile.chaos.model import Ability
from resile.chaos.port import Fault, Host
from resile.errors import ConfigError, ResileError

_ALL: Final[tuple[Fault, ...]] = (
    process.Kill(),
    process.Stop(),
    process.Segv(),
    process.Hang(),
    cpu.Burn(),
    limits.Quota(),
    memory.Pressure(),
    limits.Memory(),
    descriptors.Exhaust(),
    limits.Threads(),
    disk.Full(),
    readonly.ReadOnly(),
    bits.BitFlip(),
    rot.Rot(),
    syscalls.Errno(),
    syscalls.Delay(),
    *writes.WRITE_FAULTS,
    *network.NETWORK_FAULTS,
    *packets.PACKET_FAULTS,
    *network.HTTP_FAULTS,
    *names.NAME_FAULTS,
    clock.Step(),
    dependency.Down(),
    locks.Locked(),
    pool.Exhausted(),
    ports.Taken(),
    secret.Revoked(),
    secret.Expired(),
    secret.Denied(),
    policy.Ordered(),
    load.Spike(),
)
FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}


def find_fault(name: str, faults: Mapping[str, Fault] = FAULTS) -> Fault:
    """Give a fault by its name.

    Raises:
        ConfigError: If there is none; the nearest name is shown.
    """
    fault = faults.get(name)
    if fault is None:
        near = difflib.get_close_matches(name, faults, n=1)
        hint = f"did you mean {near[0]}?" if near else "`resile chaos list` shows them"
        raise ConfigError(f"there is no fault {name!r}", hint=hint)
    return fault


def preflight(host: Host) -> tuple[Ability, ...]:
    """Tell of every fault whether this machine and user can apply it."""
    return tuple(Ability(fault=name, obstacle=obstacle(name, host)) for name in host.faults)


def obstacle(name: str, host: Host) -> str:
    """Tell why a fault cannot be applied here; empty if it can.

    Raises:
        ConfigError: If there is no such fault.
    """
    fault = find_fault(name, host.faults)
    try:
        return fault.obstacle(host)
    except ResileError as exc:
        return exc.message
