"""Fakes, and kits for tests of whatever uses resile: the product itself never imports them.

Its modules are loaded when a name of theirs is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.testing.clock import FakeClock
    from resile.testing.files import Crash, FaultyFiles
    from resile.testing.journal import MemoryJournal
    from resile.testing.kit import PolicyKit, policies
    from resile.testing.rotations import FakeConsumers, FakeRotator, FakeTarget
    from resile.testing.scheduler import DeadlockError
    from resile.testing.secrets import FakeProvider
    from resile.testing.simulation import Simulation, simulate

__all__ = [
    "Crash",
    "DeadlockError",
    "FakeClock",
    "FakeConsumers",
    "FakeProvider",
    "FakeRotator",
    "FakeTarget",
    "FaultyFiles",
    "MemoryJournal",
    "PolicyKit",
    "Simulation",
    "policies",
    "simulate",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "clock": ("FakeClock",),
        "files": ("Crash", "FaultyFiles"),
        "journal": ("MemoryJournal",),
        "kit": ("PolicyKit", "policies"),
        "rotations": ("FakeConsumers", "FakeRotator", "FakeTarget"),
        "scheduler": ("DeadlockError",),
        "secrets": ("FakeProvider",),
        "simulation": ("Simulation", "simulate"),
    }
    return load(__name__, name, homes)
