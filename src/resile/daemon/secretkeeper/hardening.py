"""What keeps values in this process: no core, no look into its memory, no swap where that is allowed.

Source: prctl(2), mlockall(2), capabilities(7).
"""

import ctypes
import logging
import os
import resource
from pathlib import Path

logger = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
"""The last: only what is really used is locked, not the whole stack of every thread."""
_CAP_IPC_LOCK = 14


def harden() -> None:
    """Do all of it. What the machine does not allow is logged at DEBUG: the rest holds without it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        logger.warning("secretkeeper.dumpable reason=%s", os.strerror(ctypes.get_errno()))
    if not may_lock():
        logger.debug("secretkeeper.not_locked reason=RLIMIT_MEMLOCK is finite")
    elif libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        logger.debug("secretkeeper.not_locked reason=%s", os.strerror(ctypes.get_errno()))


def may_lock() -> bool:
    """Tell whether all memory may be locked: below a finite limit, later allocations would fail."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
        return True
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_IPC_LOCK & 1)
    return False
