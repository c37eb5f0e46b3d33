"""Fakes for tests of whatever uses resile: the product itself never imports them."""

from resile.testing.clock import FakeClock

__all__ = ["FakeClock"]
