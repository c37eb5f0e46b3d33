"""HTTP/1.1 over a unix socket, with the standard library alone."""

import http.client
from pathlib import Path

from resile.core.unix import connect_unix


class UnixConnection(http.client.HTTPConnection):
    """A connection to whoever listens at a path. Not thread-safe.

    Args:
        path: The socket; its path may be longer than the kernel's 107 bytes.
        timeout_s: For each wait.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Open the socket."""
        self.sock = connect_unix(self._path, timeout_s=self._timeout_s)
