"""Sees to it that a watchdog watches before a fault begins."""

import contextlib
import os
import select
from collections.abc import Iterator
from typing import Final

from resile.chaos.helpers import start_program
from resile.chaos.port import Host
from resile.core.files import make_private_dir, try_lock
from resile.errors import OperationError

LOCK_NAME: Final = "watchdog.lock"
GATE_NAME: Final = "gate.lock"
_GATE_WAIT_S: Final = 15.0
_READY_WAIT_S: Final = 10.0
"""An interpreter starts in a fraction of a second, and a loaded machine gets more."""
_LOOK_S: Final = 0.01


@contextlib.contextmanager
def watched(host: Host) -> Iterator[None]:
    """Hold the gate, with a watchdog that watches: records that are written meanwhile are looked after.

    Raises:
        OperationError: If there is no watchdog; no fault may begin then.
    """
    make_private_dir(host.ledger.folder)
    deadline_s = host.clock.monotonic() + _GATE_WAIT_S
    while (gate := try_lock(host.ledger.folder / GATE_NAME)) is None:
        if host.clock.monotonic() >= deadline_s:
            raise OperationError(
                "another engine has held the gate for too long",
                hint="see who with `resile chaos status`",
                is_transient=True,
            )
        host.clock.sleep(_LOOK_S)
    with gate:
        _ensure_watchdog(host)
        yield


def watch_again(host: Host) -> bool:
    """Start a watchdog if there are faults that nobody watches: engine and watchdog were both killed.

    Returns:
        Whether that was so.

    Raises:
        OperationError: If none can be started.
    """
    if not host.ledger.records() or is_watched(host):
        return False
    with watched(host):
        return True


def is_watched(host: Host) -> bool:
    """Tell whether a watchdog watches."""
    if not host.ledger.folder.is_dir():
        return False
    lock = try_lock(host.ledger.folder / LOCK_NAME)
    if lock is None:
        return True
    lock.close()
    return False


def _ensure_watchdog(host: Host) -> None:
    if is_watched(host):
        return
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        start_program(
            "watchdog",
            *("--state", str(host.state)),
            *("--root", str(host.root)),
            *("--ready-fd", str(write_fd)),
            kept_fds=(write_fd,),
        )
        os.close(write_fd)
        write_fd = -1
        is_ready = bool(select.select([read_fd], [], [], _READY_WAIT_S)[0])
        if not is_ready or not os.read(read_fd, 1):
            raise OperationError(
                "no watchdog could be started, and without one no fault begins",
                hint="a fault that nobody ends is a disaster; see whether the machine is overloaded",
            )
    finally:
        os.close(read_fd)
        if write_fd >= 0:
            os.close(write_fd)
