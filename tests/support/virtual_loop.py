"""An event loop whose time passes only when nothing else is to be done."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for no file; a wait with an end moves the loop's time to that end."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout:
            self.loop.now += timeout
        return ready if ready or timeout is not None else super().select(5)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that jumps to its next timer. Not thread-safe, as any loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as asyncio.run does, without waiting for any time to pass."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
