"""The process that decides: reads the journal, adopts what runs, and keeps the loop going."""

from resile.daemon.brain.brain import Brain

__all__ = ["Brain"]
