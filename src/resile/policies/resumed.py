"""A call whose first attempt is over before its layers hear of it."""

from collections.abc import Callable
from functools import partial
from typing import Any


class Resumed:
    """Gives the error of the first attempt first, and then makes the call. Not thread-safe.

    Args:
        error: What the first attempt came to.
        call: Makes the others.
    """

    __slots__ = ("_call", "error")

    def __init__(self, error: Exception, call: Callable[[], Any]) -> None:
        self.error: Exception | None = error
        self._call = call

    def run(self) -> Any:
        """Raise the first error once, and then do `call`."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        return self._call()

    async def arun(self) -> Any:
        """Do the same on an event loop."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        return await self._call()


def is_over(call: Callable[[], object]) -> bool:
    """Tell whether the attempt at the end of a chain of layers was made already."""
    while isinstance(call, partial) and len(call.args) == 1:
        (call,) = call.args
    owner = getattr(call, "__self__", None)
    return isinstance(owner, Resumed) and owner.error is not None
