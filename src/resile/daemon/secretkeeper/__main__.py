"""`python -m resile.daemon.secretkeeper --state DIR`: one life of the secretkeeper.

The brain starts it, with its end of a socket pair in RESILE_KEEPER_FD, and sends what is declared. It ends
when the brain does: everything may be cut at any point.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK
from resile.core.files import FileLock, make_private_dir, try_lock
from resile.daemon.keeping import FD_VARIABLE
from resile.daemon.secretkeeper.estate import FOLDER_NAME
from resile.daemon.secretkeeper.hardening import harden
from resile.daemon.secretkeeper.keeper import Keeper
from resile.daemon.secretkeeper.line import Line
from resile.daemon.secretkeeper.model import plan_of
from resile.daemon.secretkeeper.watching import open_watch
from resile.errors import AlreadyRunningError, ResileError

END_GRACE_S = 1.0
LOCK_NAME = "keeper.lock"
LOCK_WAIT_S = 10.0
"""The keeper of a brain that was killed ends within a moment."""
LOCK_LOOK_S = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one life; give its exit code (errors.py)."""
    parser = argparse.ArgumentParser(prog="python -m resile.daemon.secretkeeper")
    parser.add_argument("--state", type=Path, required=True, help="the state folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the guard's; it ends us in order.
    harden()
    try:
        asyncio.run(
            _live(options.state.resolve(), socket.socket(fileno=int(os.environ[FD_VARIABLE])))
        )
    except ResileError as exc:
        sys.stderr.write(exc.report() + "\n")
        return exc.exit_code
    return 0


async def _live(state: Path, sock: socket.socket) -> None:
    keepers: list[Keeper] = []
    line = Line(sock, on_end=lambda: _end(keepers))
    plan = plan_of((await asyncio.to_thread(line.receive_first))["config"], state=state)
    folder = state / FOLDER_NAME
    make_private_dir(folder)
    with await asyncio.to_thread(_only_one, folder / LOCK_NAME):
        watch = open_watch(folder, plan)
        keeper = Keeper(plan, line=line, watch=watch, environ=os.environ, clock=SYSTEM_CLOCK)
        keepers.append(keeper)
        await keeper.serve()


def _only_one(path: Path) -> FileLock:
    """Be the only keeper of a folder; the one before us may take a moment to end.

    Raises:
        AlreadyRunningError: If it does not.
    """
    deadline_s = SYSTEM_CLOCK.monotonic() + LOCK_WAIT_S
    while SYSTEM_CLOCK.monotonic() < deadline_s:
        lock = try_lock(path)
        if lock is not None:
            return lock
        SYSTEM_CLOCK.sleep(LOCK_LOOK_S)
    raise AlreadyRunningError(
        f"another secretkeeper holds {path}", hint="end it: it has lost its brain"
    )


def _end(keepers: Sequence[Keeper]) -> None:
    """Let go of the provider, and end; neither waits for long."""
    timer = threading.Timer(END_GRACE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
    with contextlib.suppress(Exception):
        for keeper in keepers:
            keeper.close()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
