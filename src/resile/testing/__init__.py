"""Fakes for tests of whatever uses resile: the product itself never imports them."""

from resile.testing.clock import FakeClock
from resile.testing.files import Crash, FaultyFiles
from resile.testing.journal import MemoryJournal

__all__ = ["Crash", "FakeClock", "FaultyFiles", "MemoryJournal"]
