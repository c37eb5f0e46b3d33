"""Hold a store: shared by writers, exclusive for who removes files."""

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resile.core.clock import Clock
from resile.core.files import PRIVATE_FILE_MODE
from resile.errors import StoreError

LOCK_NAME = "lock"
HOLD_TIMEOUT_S = 10.0
"""How long a hold is waited for: the exclusive phase of `resile gc` takes far less."""
_POLL_S = 0.05
_LOCKS = Path("/proc/locks")
_READ_ONLY = frozenset((errno.EROFS, errno.EACCES))


def take_hold(root_fd: int, *, is_exclusive: bool, clock: Clock) -> int:
    """Lock the file `lock` of an open folder; give its descriptor, whose closing lets go.

    Waits up to 10 s. Each call has a lock of its own: two threads exclude each other as two
    processes do.

    Raises:
        StoreError: If others hold it all that time; transient, and names them.
        OSError: If it cannot be opened or locked.
    """
    fd = _opened(root_fd)
    try:
        how = fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH
        wait_until_free(lambda: _is_locked(fd, how), holder=lambda: _holders(fd), clock=clock)
    except BaseException:
        os.close(fd)
        raise
    return fd


def wait_until_free(take: Callable[[], bool], *, holder: Callable[[], str], clock: Clock) -> None:
    """Try to take a hold until it is free; at most 10 s.

    Raises:
        StoreError: If others hold it all that time; transient, and names them.
    """
    deadline_s = clock.monotonic() + HOLD_TIMEOUT_S
    while not take():
        if clock.monotonic() >= deadline_s:
            raise StoreError(
                f"the store is in use by {holder()}",
                hint="try again when it is done",
                is_transient=True,
            )
        clock.sleep(_POLL_S)


def _opened(root_fd: int) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(LOCK_NAME, os.O_RDWR | os.O_CREAT | flags, PRIVATE_FILE_MODE, dir_fd=root_fd)
    except OSError as exc:
        if exc.errno not in _READ_ONLY:
            raise
        # Who may only read can still keep others from removing what is read.
        with suppress(FileNotFoundError):
            return os.open(LOCK_NAME, os.O_RDONLY | flags, dir_fd=root_fd)
        raise


def _is_locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holders(fd: int) -> str:
    """Name the processes that hold the file, as far as the kernel shows them."""
    inode = str(os.fstat(fd).st_ino)
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        lines = []
    pids = sorted(
        {
            fields[4]
            for fields in lines
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode and fields[4] != "0"
        },
        key=int,
    )
    return f"process {', '.join(pids[:5])}" if pids else "another process"
