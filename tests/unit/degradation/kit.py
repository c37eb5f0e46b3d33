"""What the tests of degraded operation share: a service that may be down, and a quiet manager."""

import random
from typing import Any

from resile.degradation import Degradation, Message, Outbox, Service
from resile.testing import FakeClock


class Dependency:
    """Something outside that may be down."""

    def __init__(self, answer: object = "live") -> None:
        self.answer = answer
        self.error: Exception | None = None
        self.calls = 0
        self.probes = 0

    def ask(self, *_: object, **__: object) -> Any:
        self.calls += 1
        return self._result()

    async def aask(self, *_: object, **__: object) -> Any:
        return self.ask()

    def probe(self) -> object:
        self.probes += 1
        return self._result()

    def _result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.answer


def manager(*services: Service, clock: FakeClock | None = None, **options: Any) -> Degradation:
    """Give a manager that does everything within the call that causes it."""
    return Degradation(
        *services,
        clock=clock or FakeClock(),
        chance=random.Random(1),
        is_background=False,
        **options,
    )


def fail(services: Degradation, name: str, dependency: Dependency, times: int = 3) -> None:
    """Let calls to a service fail, as often as it takes to be FAILED."""
    dependency.error = ConnectionError("connection lost")
    for _ in range(times):
        services.call(name, dependency.ask)


class Receiver:
    """The other side."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.error: Exception | None = None
        self.bad: list[Any] = []

    def __call__(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        if message.value in self.bad:
            raise ValueError(f"cannot take {message.value}")
        self.got.append(message.value)


def put_all(outbox: Outbox, *values: Any, key: str = "") -> None:
    for value in values:
        outbox.put(value, key=key)
