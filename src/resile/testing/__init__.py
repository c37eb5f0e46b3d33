"""Fakes, and kits for tests of whatever uses resile: the product itself never imports them.

Its modules are loaded when a name of theirs is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.testing.clock import FakeClock
    from resile.testing.files import Crash, FaultyFiles
    from resile.testing.journal import MemoryJournal
    from resile.testing.kit import PolicyKit, policies

__all__ = ["Crash", "FakeClock", "FaultyFiles", "MemoryJournal", "PolicyKit", "policies"]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "clock": ("FakeClock",),
        "files": ("Crash", "FaultyFiles"),
        "journal": ("MemoryJournal",),
        "kit": ("PolicyKit", "policies"),
    }
    return load(__name__, name, homes)
