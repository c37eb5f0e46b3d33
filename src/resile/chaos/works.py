"""What the carriers of each fault do. Each is loaded when it is needed: a carrier does one thing."""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from resile.chaos.carrying import Carrying

Work = Callable[[Carrying], None]

_WORKS: Final = {
    "cpu.burn": ("faults.cpu", "burn"),
    "memory.pressure": ("faults.memory", "press"),
    "disk.errno": ("faults.syscalls", "trace"),
    "disk.delay": ("faults.syscalls", "trace"),
    "disk.torn": ("faults.writes", "cut"),
    "disk.lost": ("faults.writes", "cut"),
    "load.spike": ("load", "drive"),
    "network.partition": ("proxy.packets", "drop"),
    "network.loss": ("proxy.packets", "drop"),
    "database.lock": ("faults.locks", "hold"),
    "port.taken": ("faults.ports", "take"),
    "pool.exhaust": ("connections", "keep"),
}
_BEGINNINGS: Final = {
    "disk.errno": ("faults.syscalls", "begin"),
    "disk.delay": ("faults.syscalls", "begin"),
}
_FAMILIES: Final = {
    "network.": ("proxy.serving", "serve"),
    "http.": ("proxy.serving", "serve"),
    "dns.": ("proxy.resolver", "serve"),
}


def work_of(fault: str) -> Work:
    """Give what carries a fault.

    Raises:
        AssertionError: If nothing does.
    """
    found = _WORKS.get(fault) or next(
        (work for family, work in _FAMILIES.items() if fault.startswith(family)), None
    )
    if found is None:
        raise AssertionError(f"{fault} is carried by nobody")
    return _loaded(*found)


def beginning_of(fault: str) -> Work | None:
    """Give what a carrier does while it has one thread only; None for most."""
    found = _BEGINNINGS.get(fault)
    return None if found is None else _loaded(*found)


def _loaded(module: str, name: str) -> Work:
    work: Work = getattr(import_module(f"resile.chaos.{module}"), name)
    return work
