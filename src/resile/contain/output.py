"""What a command prints: read without blocking, counted, kept up to a bound, passed on."""

import contextlib
import os
from collections.abc import Callable

_READ_BYTES = 1 << 16
"""As much as a pipe holds by default."""
_DRAIN_READS_MAX = 64
"""What is read of a dead command's pipe at most: 4 MiB, where a pipe holds 1 MiB at most."""

OnOutput = Callable[[str, bytes], None]
"""Called with `stdout` or `stderr`, and what came."""


def always() -> bool:
    """Tell that there is room: whoever takes the output takes all of it."""
    return True


class Capture:
    """One pipe of a command. Not thread-safe.

    Args:
        name: `stdout` or `stderr`.
        fd: The pipe's reading end, not blocking; owned from now on.
        bytes_max: So much is kept; the rest is counted and dropped.
        on_output: Gets all that comes, as it comes; None if nobody wants it.
        has_room: Tells whether it can take more now; while it cannot, the command waits.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        *,
        bytes_max: int,
        on_output: OnOutput | None,
        has_room: Callable[[], bool] = always,
    ) -> None:
        self.has_room = has_room
        self.name = name
        self.fd = fd
        self.size = 0
        self._bytes_max = bytes_max
        self._on_output = on_output
        self._kept = bytearray()

    @property
    def kept(self) -> bytes:
        """What is kept."""
        return bytes(self._kept)

    def read(self) -> bool:
        """Take what is there; False when nobody can write to it any more, and it is closed."""
        try:
            chunk = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return True
        if not chunk:
            self.close()
            return False
        self.size += len(chunk)
        self._kept += chunk[: max(0, self._bytes_max - len(self._kept))]
        if self._on_output is not None:
            self._on_output(self.name, chunk)
        return True

    def drain(self) -> None:
        """Take the rest that a dead command wrote, and close."""
        for _ in range(_DRAIN_READS_MAX):
            before = self.size
            if self.fd < 0 or not self.read() or self.size == before:
                break
        self.close()

    def close(self) -> None:
        """Close the pipe. Idempotent."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.fd = -1
