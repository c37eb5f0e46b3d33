"""What `resile up` prints in the foreground: one line for each thing that a person wants to see."""

import sys
from typing import TextIO

from resile.core.clock import Clock
from resile.core.journal import Record
from resile.core.sentences import sentence

QUIET_PARTS = frozenset({"brain", "check", "action", "plan", "notice"})
"""Parts whose events are details; `resile events --follow` shows them all."""


class Console:
    """Writes lines; a terminal that is gone is not an error.

    Args:
        clock: Stamps lines that belong to no event.
        out: Where to write. Default: standard output, which the guard passes on.
    """

    def __init__(self, *, clock: Clock, out: TextIO | None = None) -> None:
        self._clock = clock
        self._out: TextIO | None = out or sys.stdout

    def show(self, record: Record) -> None:
        """Write a record, unless it is a detail."""
        event = record.event
        part = event.kind.partition(".")[0]
        if part in QUIET_PARTS:
            return
        if text := sentence(event):
            self._write(f"{event.at:%H:%M:%S}  {text}")

    def say(self, text: str) -> None:
        """Write a line of the daemon's own."""
        self._write(f"{self._clock.now():%H:%M:%S}  {text}")

    def _write(self, line: str) -> None:
        if self._out is None:
            return
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):
            # Whoever started us closed the terminal; the journal has it all.
            self._out = None
