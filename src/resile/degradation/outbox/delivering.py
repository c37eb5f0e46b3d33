"""Send what an outbox holds by and by: soon after it was put, and again when a service is back."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, Self

from resile.degradation.outbox.model import Drained
from resile.degradation.outbox.outbox import ASend, Outbox, Send
from resile.errors import OperationError
from resile.policies.forks import renew_in_children

if TYPE_CHECKING:
    from resile.degradation.manager import Degradation
    from resile.degradation.model import Status

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 10.0
"""How late something is sent that tells nobody: another process put it, or a service is back."""
WAIT_MIN_S: Final = 0.05
CLOSE_S: Final = 5.0


class Delivery:
    """A thread that drains an outbox, from now until `close`. Safe to share between threads.

    In the child of a fork there is none: one process sends, or several that each make their own.

    Args:
        outbox: What is to be sent.
        send: Is given each message.
        services: A manager that may say that a service is down.
        service: Its name.

    Raises:
        ConfigError: If there is no such service.
    """

    def __init__(
        self, outbox: Outbox, send: Send, *, services: "Degradation | None", service: str
    ) -> None:
        self._outbox = outbox
        self._send = send
        self._gate = _Gate(outbox, services, service)
        self._due = threading.Event()
        self._is_closed = False
        self._end = self._gate.listen(self._poke)
        self._thread = threading.Thread(target=self._run, name="resile-outbox", daemon=True)
        self._thread.start()
        renew_in_children(self)

    def renew(self) -> None:
        """End in the child of a fork: the thread is the parent's."""
        self._is_closed = True
        self._due = threading.Event()

    def close(self) -> None:
        """End after the message that is being sent, for which this waits, up to 5 s."""
        self._end()
        self._is_closed = True
        self._due.set()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _poke(self) -> None:
        self._due.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._due.clear()
            wait_s = LOOK_EVERY_S
            try:
                drained = self._outbox.drain(self._send, limit=self._gate.limit())
                wait_s = self._gate.wait_s(drained, self._outbox.next_s())
            except OperationError as exc:
                logger.warning("outbox.not_sent", extra={"why": str(exc)})
            except Exception:
                logger.exception("outbox.not_sent")
            self._due.wait(wait_s)


async def adeliver(
    outbox: Outbox, send: ASend, *, services: "Degradation | None", service: str
) -> None:
    """Drain an outbox on this event loop until cancelled."""
    import asyncio

    loop = asyncio.get_running_loop()
    due = asyncio.Event()
    gate = _Gate(outbox, services, service)
    end = gate.listen(lambda: loop.call_soon_threadsafe(due.set))
    try:
        while True:
            due.clear()
            wait_s = LOOK_EVERY_S
            try:
                drained = await outbox.adrain(send, limit=await asyncio.to_thread(gate.limit))
                wait_s = gate.wait_s(drained, await asyncio.to_thread(outbox.next_s))
            except OperationError as exc:
                logger.warning("outbox.not_sent", extra={"why": str(exc)})
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await due.wait()
    finally:
        end()


class _Gate:
    """How much may be sent, as a service allows it, and when to look again. Its methods may block.

    Args:
        outbox: What is to be sent.
        services: A manager; None if nobody says that anything is down.
        service: The name of its service.

    Raises:
        ConfigError: If there is no such service.
    """

    def __init__(self, outbox: Outbox, services: "Degradation | None", service: str) -> None:
        self._outbox = outbox
        self._services = services
        self._service = service
        self._was_down = self._is_back = False
        if services is not None:
            services.status(service)

    def listen(self, poke: Callable[[], object]) -> Callable[[], None]:
        """Have somebody told when there is something to send, or it may be sent again.

        Returns:
            What ends it.
        """

        def hear(status: "Status") -> None:
            if status.name == self._service and not status.is_fallback:
                self._is_back = True
                poke()

        ends = ExitStack()
        ends.callback(self._outbox.when_put(poke))
        if self._services is not None:
            ends.callback(self._services.on_change(hear))
        return ends.close

    def limit(self) -> int | None:
        """Tell how many attempts may be made now: one, while the service is down.

        What waited for its next attempt is due when the service is back.
        """
        self._was_down = self._services is not None and self._services.should_use_fallback(
            self._service
        )
        if self._is_back and not self._was_down:
            self._is_back = False
            self._outbox.hasten()
        return 1 if self._was_down else None

    def wait_s(self, drained: Drained, due_s: float | None) -> float:
        """Tell the seconds until the next look; a message that went through is told the manager."""
        if self._was_down and self._services is not None:
            if drained.sent:
                self._services.retry(self._service)
            return LOOK_EVERY_S
        return LOOK_EVERY_S if due_s is None else min(max(due_s, WAIT_MIN_S), LOOK_EVERY_S)
