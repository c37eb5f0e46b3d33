"""Put the time, the locks and the threads of a simulation in the place of the real ones.

Only calls from the simulated thread that runs are answered by the simulation; all other threads of
the process, such as those of a test runner, keep the machine's.
"""

import gc
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from resile.core import clock as clocks
from resile.policies import hedge
from resile.testing.locks import SimLock, SimRLock
from resile.testing.scheduler import Scheduler, SimThread

EPOCH_S: Final = 1_893_456_000.0
"""What `time.time()` is at monotonic second 0 of a simulation: 2030-01-01."""
_NS: Final = 1_000_000_000


@contextmanager
def simulated(scheduler: Scheduler) -> Iterator[None]:
    """Have threads of a scheduler see its time, and make its locks; for one simulation at a time.

    The garbage collector rests meanwhile: it would run destructors at moments that no seed decides.
    """
    stand_ins = _Threads(scheduler)
    with ExitStack() as undo:
        for name, stand_in in _times(scheduler).items():
            real = getattr(time, name)
            undo.enter_context(patch.object(time, name, _either(scheduler, stand_in, real)))
        # Both took `monotonic` by name, for the time-outs of what they build.
        undo.enter_context(patch.object(threading, "_time", time.monotonic))
        undo.enter_context(patch.object(queue, "time", time.monotonic))
        for name, kind in (("Lock", SimLock), ("_allocate_lock", SimLock), ("RLock", SimRLock)):
            made = _either(scheduler, _maker(kind, scheduler), getattr(threading, name))
            undo.enter_context(patch.object(threading, name, made))
        for name in ("start", "join", "is_alive"):
            stand_in = getattr(stand_ins, name)
            real = getattr(threading.Thread, name)
            undo.enter_context(
                patch.object(threading.Thread, name, _method(scheduler, stand_in, real))
            )
        for module in (queue, hedge):
            real = module.SimpleQueue
            made = _either(scheduler, queue._PySimpleQueue, real)  # type: ignore[attr-defined]  # noqa: SLF001 - the same in Python, over `threading`
            undo.enter_context(patch.object(module, "SimpleQueue", made))
        monotonic = staticmethod(time.monotonic)
        undo.enter_context(patch.object(clocks.SystemClock, "monotonic", monotonic))
        now = SimpleNamespace(
            now=lambda zone: datetime.fromtimestamp(time.time(), UTC).astimezone(zone)
        )
        undo.enter_context(patch.object(clocks, "datetime", now))
        if gc.isenabled():
            gc.disable()
            undo.callback(gc.enable)
        yield


def _times(scheduler: Scheduler) -> dict[str, Callable[..., Any]]:
    """Give what stands in for the functions of `time`."""
    return {
        "monotonic": lambda: scheduler.now_s,
        "monotonic_ns": lambda: int(scheduler.now_s * _NS),
        "perf_counter": lambda: scheduler.now_s,
        "perf_counter_ns": lambda: int(scheduler.now_s * _NS),
        "time": lambda: EPOCH_S + scheduler.wall_s,
        "time_ns": lambda: int((EPOCH_S + scheduler.wall_s) * _NS),
        "sleep": lambda seconds: sleep(scheduler, seconds),
    }


def sleep(scheduler: Scheduler, seconds: float) -> None:
    """Let time pass for the running thread."""
    due_s = scheduler.now_s + seconds
    scheduler.pause()
    while scheduler.now_s < due_s:
        scheduler.park(due_s - scheduler.now_s)


def _either(
    scheduler: Scheduler, stand_in: Callable[..., Any], real: Callable[..., Any]
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return (stand_in if scheduler.is_mine() else real)(*args, **kwargs)

    return call


def _method(
    scheduler: Scheduler, stand_in: Callable[..., Any], real: Callable[..., Any]
) -> Callable[..., Any]:
    def call(self: threading.Thread, *args: Any, **kwargs: Any) -> Any:
        return (stand_in if scheduler.is_mine() else real)(self, *args, **kwargs)

    return call


def _maker(kind: Callable[[Scheduler], Any], scheduler: Scheduler) -> Callable[[], Any]:
    return lambda: kind(scheduler)


class _Threads:
    """What stands in for methods of `threading.Thread`.

    Args:
        scheduler: Runs them.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._started: dict[threading.Thread, SimThread] = {}

    def start(self, thread: threading.Thread) -> None:
        """Start it as a simulated thread."""
        if thread in self._started:
            raise RuntimeError("threads can only be started once")
        self._started[thread] = self._scheduler.spawn(thread.run, name=thread.name)

    def join(self, thread: threading.Thread, timeout: float | None = None) -> None:
        """Wait for its end."""
        if timeout is None:
            self._scheduler.join(self._started[thread])
        else:
            self._scheduler.join(self._started[thread], timeout)

    def is_alive(self, thread: threading.Thread) -> bool:
        """Tell whether it runs."""
        return thread in self._started and not self._started[thread].is_done
