"""A few megabytes set aside, so that the journal can go on for a while when the disk is full."""

import os
from pathlib import Path

from resile.core.files import write_durable
from resile.errors import OperationError

BALLAST_NAME = "ballast"
BALLAST_BYTES = 2 << 20
"""Room for some five thousand events: enough to record the fault, act on it and record that."""


class Ballast:
    """A file that may be given up. Not thread-safe.

    Args:
        path: Where it lies; on the journal's file system.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def restore(self) -> bool:
        """Set it aside if it is not there; False where there is no room for it now."""
        if self._path.exists():
            return True
        try:
            # Random bytes: a file system that compresses or knows holes must really give the room.
            write_durable(self._path, os.urandom(BALLAST_BYTES))
        except OperationError:
            return False
        return True

    def release(self) -> bool:
        """Give the room up; False if it was given up before."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
