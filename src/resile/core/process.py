"""Processes: who they are, and whether they live.

A process is known by its `Identity`: a pid alone is given to somebody else after its death.
How processes are started is in core.spawning, which most who look at processes do not need.
"""

import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, told apart from every other that ever had its pid.

    Args:
        boot_id: The kernel's id of this boot.
        pid: The process id.
        start_ticks: When it started, in clock ticks since the boot (field 22 of its stat file).
    """

    boot_id: str
    pid: int
    start_ticks: int


@cache
def boot_id() -> str:
    """Tell the id that the kernel drew at this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identity_of(pid: int) -> Identity | None:
    """Tell who has this pid now; None if nobody has, or only a dead one not yet reaped.

    One whose first thread has ended lives as long as another one of its threads does: what it holds open is
    let go by the last.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    is_ended, threads = fields[0] in (b"Z", b"X"), int(fields[17])
    if is_ended and threads <= 1:
        return None
    return Identity(boot_id=boot_id(), pid=pid, start_ticks=int(fields[19]))


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs; a zombie does not."""
    return identity_of(identity.pid) == identity


def send_signal(identity: Identity, signal_number: int) -> bool:
    """Send a signal to this very process, never to a later owner of its pid.

    Returns:
        False if it does not run any more.
    """
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(fd, signal_number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def signal_name(number: int) -> str:
    """Name a signal: "SIGTERM", or "SIG40" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
