"""`python -m resile.chaos.carrier`: a process that makes a fault by what it does, and ends with it.

It notes who it is before it does anything, and looks whether its fault is still wanted after that: whoever
takes the fault back in between finds it, or it finds that the fault is gone.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from resile.chaos.carrying import Carrying, end_with
from resile.chaos.ledger import Ledger
from resile.chaos.works import beginning_of, work_of
from resile.core.clock import SYSTEM_CLOCK
from resile.core.process import identity_of
from resile.errors import ResileError


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry a fault until it is over; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m resile.chaos.carrier")
    parser.add_argument("--ledger", type=Path, required=True, help="the folder of undo records")
    parser.add_argument("--fault", required=True, help="which fault")
    parser.add_argument("--number", type=int, required=True, help="which of its carriers")
    parser.add_argument("--join", action="append", default=[], help="a group's file to join it by")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's, which ends us in order.
    ledger = Ledger(options.ledger)
    who = identity_of(os.getpid())
    if who is None:
        raise AssertionError("this process runs")
    ledger.enlist(options.fault, options.number, who)
    record = ledger.get(options.fault)
    if record is None:
        # It was taken back before we were there to be ended; nobody else removes our note.
        with contextlib.suppress(OSError):
            (ledger.folder / f"{options.fault}.{options.number}.carrier").unlink()
        return 0
    carrying = Carrying(record=record, ledger=ledger, number=options.number, clock=SYSTEM_CLOCK)
    if carrying.is_over():
        return 0
    try:
        for file in options.join:
            _join(file)
        begin = beginning_of(record.fault)
        if begin is not None:
            begin(carrying)
        end_with(carrying)
        work_of(record.fault)(carrying)
    except (OSError, ResileError) as exc:
        carrying.say({"error": str(exc)})
        return 1
    return 0


def _join(file: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
