"""A service's output: lines with their time, in files that are rotated, and the last ones in memory.

The service never waits for us: what the disk does not take, or what is above the rate, is
dropped and counted. Within about a second, also of a service that has fallen silent, the count is
written as a line of its own, and behind it the last line dropped: it often says what went wrong.
"""

import os
from collections import deque
from pathlib import Path

from resile.core.clock import Clock
from resile.core.files import SYSTEM_FILES, Files
from resile.daemon.guard.reactor import Reactor, Timer

LINE_BYTES_MAX = 8192
"""A longer line is broken into several."""
TAIL_LINES_MAX = 200
TAIL_BYTES_MAX = 128 << 10
"""JSON may write six bytes for one of these, and the message still fits the protocol's bound."""
_RATE_WINDOW_S = 1.0
_TELL_AFTER_S = 1.0
"""So long after a drop it is told, unless the service's next line comes before."""
_FILE_MODE = 0o600


class LogFile:
    """One file that is renamed when it is full: NAME, NAME.1 (the newest before it), NAME.2, ...

    Not thread-safe.

    Args:
        path: The newest file.
        bytes_max: Rotate before it would become larger.
        files_max: So many older ones are kept; 0 or more.
        files: Renames and removes.
    """

    def __init__(
        self, path: Path, *, bytes_max: int, files_max: int, files: Files = SYSTEM_FILES
    ) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._files = files
        self._fd = -1
        self._size = 0
        self._is_cut = False

    def write(self, data: bytes) -> bool:
        """Append whole lines; False if not all of them are in the file (a full disk, mostly)."""
        try:
            while data:
                self._open()
                end = self._end_of_what_fits(data)
                if end == 0 and self._size:
                    self._rotate()
                    end = self._end_of_what_fits(data)
                end = end or data.find(b"\n") + 1 or len(data)  # One line may be above the bound.
                if not self._append(data[:end]):
                    return False
                data = data[end:]
        except OSError:
            return False
        return True

    def _end_of_what_fits(self, data: bytes) -> int:
        room = self._bytes_max - self._size - self._is_cut
        return data.rfind(b"\n", 0, max(0, room)) + 1

    def _append(self, data: bytes) -> bool:
        whole = b"\n" + data if self._is_cut else data
        written = os.write(self._fd, whole)
        self._size += written
        self._is_cut = written < len(whole) and not whole[:written].endswith(b"\n")
        return written == len(whole)

    def close(self) -> None:
        """Close the file. Idempotent; a later write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, _FILE_MODE)
            self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self.close()
        older = [self._path.with_name(f"{self._path.name}.{i + 1}") for i in range(self._files_max)]
        steps = [self._path, *older]
        self._files.remove(steps.pop())
        for target, source in zip(reversed(older), reversed(steps), strict=True):
            if source.exists():
                self._files.replace(source, target)
        self._is_cut = False
        self._open()


class ServiceLog:
    """Turns one instance's output into lines of its log. Not thread-safe.

    Args:
        file: Where the lines go.
        lines_per_s_max: What is above is dropped and counted.
        clock: Stamps the lines.
        reactor: Calls when a drop is to be told.
    """

    def __init__(
        self, file: LogFile, *, lines_per_s_max: int, clock: Clock, reactor: Reactor
    ) -> None:
        self._file = file
        self._lines_per_s_max = lines_per_s_max
        self._clock = clock
        self._reactor = reactor
        self._partial = b""
        self._tail: deque[bytes] = deque(maxlen=TAIL_LINES_MAX)
        self._window_began_s = clock.monotonic()
        self._window_count = 0
        self._dropped_count = 0
        self._last_dropped = b""
        self._telling: Timer | None = None

    def feed(self, chunk: bytes) -> None:
        """Take output as it came, in pieces of any size."""
        *lines, self._partial = _broken((self._partial + chunk).split(b"\n"))
        if lines:
            self._take(lines)

    def tail(self) -> tuple[str, ...]:
        """Give the last lines, oldest first: at most 200, and 128 KiB together."""
        size = 0
        kept: deque[str] = deque()
        for line in reversed(self._tail):
            size += len(line)
            if size > TAIL_BYTES_MAX:
                break
            kept.appendleft(line.decode(errors="replace"))
        return tuple(kept)

    def close(self) -> None:
        """Write what has no end of line yet, and what was dropped; then close the file."""
        if self._partial:
            self._take([self._partial])
            self._partial = b""
        self._tell_dropped()
        if self._telling is not None:
            self._telling.cancel()
        self._file.close()

    def _take(self, lines: list[bytes]) -> None:
        self._tail.extend(lines[-TAIL_LINES_MAX:])
        now_s = self._clock.monotonic()
        if now_s - self._window_began_s >= _RATE_WINDOW_S:
            self._tell_dropped()
            self._window_began_s = now_s
            self._window_count = 0
        allowed = lines[: max(0, self._lines_per_s_max - self._window_count)]
        self._window_count += len(lines)
        if allowed and self._write(allowed):
            lines = lines[len(allowed) :]
        if lines:
            self._drop(lines)

    def _drop(self, lines: list[bytes]) -> None:
        self._dropped_count += len(lines)
        self._last_dropped = lines[-1]
        if self._telling is None:
            self._telling = self._reactor.call_later(_TELL_AFTER_S, self._tell_later)

    def _tell_later(self) -> None:
        self._telling = None
        self._tell_dropped()
        if self._dropped_count:  # The disk is full: once more a second later.
            self._telling = self._reactor.call_later(_TELL_AFTER_S, self._tell_later)

    def _tell_dropped(self) -> None:
        if not self._dropped_count:
            return
        lines = [self._last_dropped]
        if self._dropped_count > 1:
            count = self._dropped_count - 1
            lines.insert(0, b"resile: %d lines of output were dropped" % count)
        if self._write(lines):
            self._dropped_count = 0

    def _write(self, lines: list[bytes]) -> bool:
        stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].encode() + b"Z "
        return self._file.write(b"".join(stamp + line + b"\n" for line in lines))


def _broken(lines: list[bytes]) -> list[bytes]:
    """Break what is longer than a line may be; the last one may be the beginning of a line."""
    if all(len(line) <= LINE_BYTES_MAX for line in lines):
        return lines
    return [
        line[start : start + LINE_BYTES_MAX]
        for line in lines
        for start in range(0, max(1, len(line)), LINE_BYTES_MAX)
    ]
