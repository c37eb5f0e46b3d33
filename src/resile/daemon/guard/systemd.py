"""Tell the service manager that started the guard how it goes: the sd_notify protocol.

Nothing happens where nobody asked for it. What steers it is taken out of the environment, so that
neither the brain nor a service speaks in the guard's name.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import logging
import os
import socket
from collections.abc import MutableMapping

from resile.daemon.guard.reactor import Reactor

logger = logging.getLogger(__name__)

_PINGS_PER_TIMEOUT = 3
"""systemd advises two; a third costs nothing and forgives a busy machine."""


class ServiceManager:
    """The one that may have started us. Not thread-safe.

    Args:
        environ: Where NOTIFY_SOCKET and WATCHDOG_USEC are looked for, and removed from.
        reactor: Calls when the next ping is due.
    """

    def __init__(self, environ: MutableMapping[str, str], reactor: Reactor) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._reactor = reactor
        self._is_ready = False
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_ours = pid in {"", str(os.getpid())}
        self._ping_s = int(usec) / 1e6 / _PINGS_PER_TIMEOUT if usec.isdecimal() and is_ours else 0.0
        if self._ping_s:
            self._ping()

    def ready(self) -> None:
        """Say that a brain is at work; only the first time counts."""
        if not self._is_ready:
            self._is_ready = True
            self._say("READY=1\nSTATUS=a brain is at work")

    def stopping(self) -> None:
        """Say that everything is being stopped."""
        self._say("STOPPING=1\nSTATUS=stopping everything in order")

    def _ping(self) -> None:
        self._say("WATCHDOG=1")
        self._reactor.call_later(self._ping_s, self._ping)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(text.encode(), address)
            except OSError as exc:
                logger.warning("guard.notify_failed reason=%s", exc.strerror)
