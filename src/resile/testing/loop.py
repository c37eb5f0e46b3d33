"""An event loop that is the same in each run of a seed, and whose time nobody waits for.

It knows callbacks, timers, futures and tasks, but no network and no processes. Of several callbacks
that are ready, the dice choose one; some of them are late. asyncio promises less order than its own
loop keeps, and what depends on that breaks one day.
"""

import asyncio
import heapq
import sys
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from math import inf
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from resile.testing.scheduler import DeadlockError, Scheduler, SimThread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DELAY_S_MAX: Final = 0.02
_TASKS_SHOWN: Final = 20


class SimulationLoop(AbstractEventLoop):
    """The loop of one simulated thread. Not thread-safe but for `call_soon_threadsafe`.

    Args:
        scheduler: Has its time and its dice.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: SimThread | None = None
        self._ready: list[_Handle] = []
        self._timers: list[_Handle] = []
        self._number = 0
        self._is_stopping = self._is_closed = False
        self._handler: Callable[[AbstractEventLoop, dict[str, Any]], object] | None = None
        self._generators: dict[int, AsyncGenerator[Any, Any]] = {}
        self._factory: Any = None

    # Running ------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until `stop`."""
        self._owner = self._scheduler.current
        self._is_stopping = False
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._know, finalizer=self._finalize)
        asyncio._set_running_loop(self)  # noqa: SLF001 - made for who writes loops
        try:
            while not self._is_stopping:
                self._step()
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001 - as above
            sys.set_asyncgen_hooks(*hooks)
            self._owner = None

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future is done; give its result."""
        awaited = asyncio.ensure_future(future, loop=self)
        awaited.add_done_callback(self._stop_after)
        try:
            self.run_forever()
        finally:
            awaited.remove_done_callback(self._stop_after)
        return awaited.result()

    def stop(self) -> None:
        """End `run_forever` after the callback that runs."""
        self._is_stopping = True

    def is_running(self) -> bool:
        """Tell whether it runs."""
        return self._owner is not None

    def is_closed(self) -> bool:
        """Tell whether it is closed."""
        return self._is_closed

    def close(self) -> None:
        """Forget all that was to be called."""
        self._is_closed = True
        self._ready.clear()
        self._timers.clear()

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that are left."""
        generators = tuple(self._generators.values())
        self._generators.clear()
        await asyncio.gather(*(one.aclose() for one in generators), return_exceptions=True)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: simulated threads end with their calls."""

    # Calling ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Tell the simulated second."""
        return self._scheduler.now_s

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Have something called, now or a little late, before or after what else is ready."""
        dice = self._scheduler
        if dice.delay_rate and dice.random.random() < dice.delay_rate:
            late_s = dice.random.uniform(0, _DELAY_S_MAX)
            return self.call_later(late_s, callback, *args, context=context)
        handle = self._handle(callback, args, context, dice.now_s)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Have something called on this loop, by any simulated thread."""
        if self._is_closed:
            raise RuntimeError("Event loop is closed")
        handle = self._handle(callback, args, context, self._scheduler.now_s)
        self._ready.append(handle)
        if self._owner is not None and self._owner is not self._scheduler.current:
            self._scheduler.unpark(self._owner)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Have something called when some seconds have passed."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:
        """Have something called at a second of `time`."""
        handle = self._handle(callback, args, context, when)
        heapq.heappush(self._timers, handle)
        return handle

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> Any:
        """Call a plain function in a simulated thread, whatever executor is given."""
        del executor
        future: Future[T] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits it
                self.call_soon_threadsafe(_settle, future.set_exception, future, error)
            else:
                self.call_soon_threadsafe(_settle, future.set_result, future, result)

        self._scheduler.spawn(work)
        return future

    # Futures and tasks --------------------------------------------------------------------------

    def create_future(self) -> "Future[Any]":
        """Give a new future."""
        return _SimFuture(self, self._next_number())

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None) -> Any:
        """Start a task."""
        if self._factory is not None:
            return self._factory(self, coro, **({} if context is None else {"context": context}))
        number = self._next_number()
        return _SimTask(coro, self, number, name=name or f"task {number}", context=context)

    def set_task_factory(self, factory: Any) -> None:
        """Have tasks made by something else."""
        self._factory = factory

    def get_task_factory(self) -> Any:
        """Give what makes tasks; None for the loop itself."""
        return self._factory

    def get_debug(self) -> bool:
        """Tell that there is no debug mode."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Do nothing: there is no debug mode."""

    # Errors -------------------------------------------------------------------------------------

    def set_exception_handler(self, handler: Any) -> None:
        """Have errors that nobody awaits told to something else than the simulation."""
        self._handler = handler

    def get_exception_handler(self) -> Any:
        """Give what is told of errors."""
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """End the simulation with an error that nobody awaits."""
        error = context.get("exception")
        if error is not None and not self._is_closed:
            error.add_note(f"simulation: {context.get('message')}")
            self._scheduler.fail(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of an error that nobody awaits."""
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    # Within -------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Call one callback, or wait for the next."""
        scheduler = self._scheduler
        while self._timers and (
            self._timers[0].is_cancelled or self._timers[0].due_s <= scheduler.now_s
        ):
            self._ready.append(heapq.heappop(self._timers))
        if not self._ready:
            due_s = self._timers[0].due_s if self._timers else inf
            if due_s == inf and scheduler.is_alone:
                raise DeadlockError("no task can go on:\n" + self._report())
            scheduler.park(due_s - scheduler.now_s)
            return
        index = int(scheduler.random.random() * len(self._ready))
        handle = self._ready.pop(index)
        if handle.is_cancelled:
            return
        scheduler.note(handle.number)
        try:
            handle.context.run(handle.callback, *handle.args)
        except Exception as error:  # noqa: BLE001 - as asyncio does
            self.call_exception_handler({"message": "a callback failed", "exception": error})
        if scheduler.has_failed:
            self._is_stopping = True

    def _handle(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
        due_s: float,
    ) -> "_Handle":
        # An empty context is false.
        given = copy_context() if context is None else context
        return _Handle(self._next_number(), callback, args, given, due_s)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _stop_after(self, future: object) -> None:
        del future
        self.stop()

    def _know(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators[id(generator)] = generator

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.pop(id(generator), None)

    def _report(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=hash)[:_TASKS_SHOWN]
        return "\n".join(f"{one.get_name()}: {_place(one)}" for one in tasks)


class _Handle:
    """Something to be called."""

    __slots__ = ("args", "callback", "context", "due_s", "is_cancelled", "number")

    def __init__(
        self,
        number: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        due_s: float,
    ) -> None:
        self.number = number
        self.callback = callback
        self.args = args
        self.context = context
        self.due_s = due_s
        self.is_cancelled = False

    def cancel(self) -> None:
        """Have it not called."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Tell whether it will not be called."""
        return self.is_cancelled

    def when(self) -> float:
        """Tell the second at which it is due."""
        return self.due_s

    def __lt__(self, other: "_Handle") -> bool:
        return (self.due_s, self.number) < (other.due_s, other.number)


class _SimFuture(Future[Any]):
    """A future that stands in sets at the same place in each run."""

    def __init__(self, loop: AbstractEventLoop, number: int) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _SimTask(Task[Any]):
    """A task that stands in sets at the same place in each run."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        loop: AbstractEventLoop,
        number: int,
        *,
        name: str,
        context: Context | None,
    ) -> None:
        self._number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


def _settle(settle: Callable[[Any], object], future: "Future[Any]", value: object) -> None:
    if not future.done():
        settle(value)


def _place(task: "Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "has not begun"
    code = frames[-1].f_code
    return f"{code.co_qualname} waits at {code.co_filename}:{frames[-1].f_lineno}"
