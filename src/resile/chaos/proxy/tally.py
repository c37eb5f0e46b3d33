"""What a proxy has done: how many connections came, and how often it spoilt something."""

from collections.abc import Callable, Mapping
from typing import Any


class Tally:
    """Counts, and says so when something is new. For one event loop.

    Args:
        say: Hears of it.
    """

    def __init__(self, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._say = say
        self._port = 0
        self._connections = 0
        self._struck = 0
        self._is_new = False

    def listens(self, port: int) -> None:
        """Note where connections may come to now."""
        self._port = port
        self._is_new = True

    def connected(self) -> int:
        """Count a connection; give its number, beginning with 1."""
        self._connections += 1
        self._is_new = True
        return self._connections

    def struck(self) -> None:
        """Count something that was spoilt: a piece of a stream, a connection, a request."""
        self._struck += 1
        self._is_new = True

    def tell(self) -> None:
        """Say what has happened, if anything has."""
        if self._is_new:
            self._is_new = False
            self._say(
                {"port": self._port, "connections": self._connections, "struck": self._struck}
            )
