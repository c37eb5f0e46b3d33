"""The daemon's own log, in the background: kept below a size while others hold it open.

The guard, the brain and the brain's commands all write to one open file. A rename would not move
them to a new one, and a pipe between them would make the brain depend on the guard's health. So
the file is copied and then emptied in place: it is opened for appending, and everybody's next
line begins it anew. A line that is written between the copy and the emptying is lost.
"""

import contextlib
import fcntl
import logging
import os
import stat
from pathlib import Path

from resile.daemon.guard.reactor import Reactor

logger = logging.getLogger(__name__)

LOG_NAME = "guard.log"
LOG_BYTES_MAX = 10 << 20
LOOK_EVERY_S = 10.0
_FILE_MODE = 0o600


class OwnLog:
    """Empties the file when it is full; its last part is kept as NAME.1. Not thread-safe.

    Nothing happens if our output is not this very file: in a terminal, or under systemd.

    Args:
        path: The file that our output may be.
        reactor: Calls when it is time to look.
        fd: Our output. Default: the standard output.
        bytes_max: Of either file; the newer one may be larger by what comes in ten seconds.
    """

    def __init__(
        self, path: Path, *, reactor: Reactor, fd: int = 1, bytes_max: int = LOG_BYTES_MAX
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._fd = fd
        self._bytes_max = bytes_max

    def watch(self) -> None:
        """Look now, and again every ten seconds."""
        self._reactor.call_later(LOOK_EVERY_S, self.watch)
        if self._is_ours() and os.fstat(self._fd).st_size > self._bytes_max:
            try:
                self._keep_last_part()
            except OSError as exc:  # A full disk, mostly: all the more reason to empty it.
                logger.warning("guard.log_not_kept reason=%s", exc.strerror)
            os.ftruncate(self._fd, 0)

    def _is_ours(self) -> bool:
        """Tell whether our output is this file, opened so that it can be emptied under writers."""
        with contextlib.suppress(OSError):
            here, there = os.fstat(self._fd), self._path.lstat()
            return (
                stat.S_ISREG(here.st_mode)
                and os.path.samestat(here, there)
                and bool(fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_APPEND)
            )
        return False

    def _keep_last_part(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.ExitStack() as files:
            source = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            files.callback(os.close, source)
            target = os.open(self._path.with_name(f"{self._path.name}.1"), flags, _FILE_MODE)
            files.callback(os.close, target)
            end = os.fstat(source).st_size
            offset = max(0, end - self._bytes_max)
            while offset < end:
                copied = os.sendfile(target, source, offset, end - offset)
                if copied == 0:
                    return
                offset += copied
