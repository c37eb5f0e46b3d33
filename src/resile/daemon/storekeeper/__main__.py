"""`python -m resile.daemon.storekeeper --state DIR`: one life of the storekeeper.

The brain starts it, with its end of a socket pair in RESILE_KEEPER_FD, and sends the configuration.
The worker runs with the lowest priority; snapshots for somebody who waits do not.
"""

import argparse
import contextlib
import ctypes
import logging
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resile.core.clock import SYSTEM_CLOCK
from resile.core.journal import SegmentLimits, open_journal
from resile.daemon.storekeeper.asking import Asking
from resile.daemon.storekeeper.keeper import Keeper
from resile.daemon.storekeeper.line import Line
from resile.daemon.storekeeper.model import plan_of
from resile.errors import ResileError
from resile.store import open_backend

FD_VARIABLE = "RESILE_KEEPER_FD"
END_GRACE_S = 3.0
"""A job that takes longer is cut: every one of them may be, at any point."""
DRAIN_EVERY_S = 0.5
"""Between two looks at what the kernel holds; its queue has room for thousands of events a look."""
_NICE = 19
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_IDLE = 3 << 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one life; give its exit code (errors.py)."""
    parser = argparse.ArgumentParser(prog="python -m resile.daemon.storekeeper")
    parser.add_argument("--state", type=Path, required=True, help="the state folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the guard's; it ends us in order.
    try:
        _live(options.state, socket.socket(fileno=int(os.environ[FD_VARIABLE])))
    except ResileError as exc:
        sys.stderr.write(exc.report() + "\n")
        return exc.exit_code
    return 0


def _live(state: Path, sock: socket.socket) -> None:
    keepers: list[Keeper] = []
    line = Line(sock, on_end=lambda: _end(keepers))
    config = line.receive_first()["config"]
    plan = plan_of(config, state=state)
    with contextlib.closing(open_journal(state / "journal", limits=_limits(config))) as journal:
        keeper = Keeper(plan, journal=journal, clock=SYSTEM_CLOCK, halt=line.halt, send=line.send)
        keepers.append(keeper)
        line.listen()
        asking = Asking(keeper, place=open_backend(plan.place).url, run=state / "run")
        asking.start()
        threading.Thread(target=_drain, args=(keeper,), name="drain", daemon=True).start()
        _step_back()
        keeper.run()
        asking.close()


def _end(keepers: Sequence[Keeper]) -> None:
    """Let the worker end; the process does not wait for long."""
    for keeper in keepers:
        keeper.stop()
    timer = threading.Timer(END_GRACE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _drain(keeper: Keeper) -> None:
    """Take the events of watched folders from the kernel before its queue runs over."""
    while True:
        for folder in keeper.folders.values():
            folder.watch.drain()
        SYSTEM_CLOCK.sleep(DRAIN_EVERY_S)


def _step_back() -> None:
    """Give this thread, and those that it will start, the lowest priority; others keep theirs."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _IOPRIO_IDLE)


def _limits(config: Mapping[str, Any]) -> SegmentLimits:
    journal = config["resile"]["journal"]
    return SegmentLimits(
        bytes_max=journal["segment_size"],
        age_max_s=journal["segment_age"],
        count_max=journal["segments_max"],
    )


if __name__ == "__main__":
    sys.exit(main())
