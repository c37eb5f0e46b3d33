"""Runs calls so that whoever waits for one can stop waiting."""

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from resile.errors import OperationError

TICK_S: Final = 0.02
Stop = Callable[[], str]


class Runner(Protocol):
    """Runs a call while somebody waits."""

    def run(self, call: Callable[[], Any], stop: Stop) -> Any:
        """Run it to its end, or until `stop` gives a reason; give its value.

        Raises:
            OperationError: If it failed, or was stopped.
        """
        ...

    def begin(self, call: Callable[[], Any]) -> Callable[[], bool]:
        """Run it beside; give what tells whether it has ended."""
        ...


class ThreadRunner:
    """Runs calls in threads; one that is stopped is left alone: nothing of ours is in it."""

    def run(self, call: Callable[[], Any], stop: Stop) -> Any:
        """Run it in a thread, and look again and again whether to stop."""
        job = _Job(call)
        while not job.is_over.wait(TICK_S):
            if why := stop():
                raise OperationError(f"it was not waited for: {why}")
        return job.result()

    def begin(self, call: Callable[[], Any]) -> Callable[[], bool]:
        """Run it in a thread."""
        return _Job(call).is_over.is_set


class InlineRunner:
    """Runs calls at once: for tests and simulations."""

    def run(self, call: Callable[[], Any], stop: Stop) -> Any:  # noqa: ARG002 - the port's
        """Run it."""
        return call()

    def begin(self, call: Callable[[], Any]) -> Callable[[], bool]:
        """Run it now."""
        call()
        return lambda: True


class _Job:
    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_over = threading.Event()
        threading.Thread(target=self._run, name="chaos-call", daemon=True).start()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as exc:  # noqa: BLE001 - it is raised again where it is waited for
            self._error = exc
        finally:
            self.is_over.set()
