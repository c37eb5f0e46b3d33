"""What the carriers of each fault do. Each is loaded when it is needed: a carrier does one thing."""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from resile.chaos.carrying import Carrying

Work = Callable[[Carrying], None]

_WORKS: Final = {
    "cpu.burn": ("faults.cpu", "burn"),
    "memory.pressure": ("faults.memory", "press"),
    "load.spike": ("load", "drive"),
}
_FAMILIES: Final = {"network.": ("proxy.serving", "serve"), "http.": ("proxy.serving", "serve")}


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
    module, name = found
    work: Work = getattr(import_module(f"resile.chaos.{module}"), name)
    return work
