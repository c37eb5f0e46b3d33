"""Guard a block of code by `with`, for objects that many threads and tasks use at once."""

from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar

_HELD: ContextVar[tuple[ExitStack, ...]] = ContextVar("resile_held", default=())
"""The blocks that this thread or task is in, innermost last."""


class Block:
    """What can be held around a block. Safe to share: each block has its own state."""

    __slots__ = ()

    def hold(self) -> AbstractContextManager[object]:
        """Give a new context manager for one block."""
        raise NotImplementedError

    def __enter__(self) -> None:
        with ExitStack() as entered:
            entered.enter_context(self.hold())
            _HELD.set((*_HELD.get(), entered.pop_all()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        *outer, held = _HELD.get()
        _HELD.set(tuple(outer))
        held.__exit__(kind, error, None if error is None else error.__traceback__)
