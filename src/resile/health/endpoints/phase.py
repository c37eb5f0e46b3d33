"""Whether a service has begun to serve, and whether it is about to end: why it is not ready."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from resile.errors import ConfigError


class Phase:
    """What keeps a service from being ready, apart from its checks.

    Safe to share between threads, and with signal handlers: it takes no lock.
    """

    def __init__(self) -> None:
        self._starting: dict[str, str] = {}
        self._draining = ""

    def reason(self) -> str:
        """Say why the service is not ready; empty if nothing keeps it from that."""
        return self._draining or next(iter(self._starting.copy().values()), "")

    @contextmanager
    def starting(self, what: str) -> Iterator[None]:
        """Keep the service from being ready during the block, and after it if the block raises."""
        self._starting[what] = f"starting: {what}"
        try:
            yield
        except BaseException:
            self._starting[what] = f"failed to start: {what}"
            raise
        self._starting.pop(what, None)

    def drain(self, reason: str) -> None:
        """Keep the service from being ready from now on. Idempotent: the first reason stays."""
        self._draining = self._draining or reason

    def drain_on_sigterm(self) -> None:
        """Drain when SIGTERM arrives, then do what would have been done without us.

        Raises:
            ConfigError: Outside the main thread, where no handler can be set.
        """
        before = signal.getsignal(signal.SIGTERM)

        def handle(number: int, frame: FrameType | None) -> None:
            self.drain("SIGTERM: the service ends")
            if callable(before):
                before(number, frame)
            elif before is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

        try:
            signal.signal(signal.SIGTERM, handle)
        except ValueError as exc:
            raise ConfigError(
                "only the main thread can handle SIGTERM",
                hint="call drain_on_sigterm() there, or drain() from your own handler",
            ) from exc
