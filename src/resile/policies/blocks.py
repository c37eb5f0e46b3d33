"""Guard a block of code by `with` or `async with`, for objects that many use at once."""

from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
)
from contextvars import ContextVar

_HELD: ContextVar[tuple[ExitStack, ...]] = ContextVar("resile_held", default=())
"""The blocks that this thread or task is in, innermost last."""
_AHELD: ContextVar[tuple[AsyncExitStack, ...]] = ContextVar("resile_aheld", default=())
"""Those of `async with`."""


class Block:
    """What can be held around a block. Safe to share: each block has its own state."""

    __slots__ = ()

    def hold(self) -> AbstractContextManager[object]:
        """Give a new context manager for one block."""
        raise NotImplementedError

    def ahold(self) -> AbstractAsyncContextManager[object]:
        """Give the same for `async with`; what never waits needs no other."""
        return _unwaiting(self)

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

    async def __aenter__(self) -> None:
        async with AsyncExitStack() as entered:
            await entered.enter_async_context(self.ahold())
            _AHELD.set((*_AHELD.get(), entered.pop_all()))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        *outer, held = _AHELD.get()
        _AHELD.set(tuple(outer))
        await held.__aexit__(kind, error, None if error is None else error.__traceback__)


@asynccontextmanager
async def _unwaiting(block: Block) -> AsyncIterator[None]:
    with block.hold():
        yield
