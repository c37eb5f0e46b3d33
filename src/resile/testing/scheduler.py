"""Run threads one at a time, in an order that a seed decides, on a clock that nobody waits for.

Each simulated thread is a real one, but only the one that has the baton runs. It passes the baton on
at its pauses: at locks and sleeps, and between any two instructions of the modules that are to be
preempted. Time moves only when all threads wait. Why it is built so: docs/decisions/0014.
"""

import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from math import inf
from types import FrameType
from typing import Any, Final

_LOCK: Final = threading.Lock
_START: Final = threading.Thread.start
"""The real ones, also while a simulation has put its own in place."""
_SPANS: Final = (3, 12, 60, 400)
"""Instructions between two pauses at most; a seed draws one, as each finds other faults."""
_DELAY_RATES: Final = (0.0, 0.0, 0.05, 0.3)
"""Share of pauses and callbacks that are late; a seed draws one."""
_DELAY_S_MAX: Final = 0.02
_FRAMES_SHOWN: Final = 4
_OWN: Final = __name__.rpartition(".")[0]
"""This package: what switches threads cannot be interrupted itself."""
_WAITING_SHOWN: Final = 20


class DeadlockError(AssertionError):
    """Everything waits, and nothing will ever go on."""


class SimulationAborted(BaseException):
    """The simulation is over; threads that are left end by it. No Exception, so it is not caught."""


class SimThread:
    """One simulated thread. Made by `Scheduler.spawn`.

    Args:
        number: 0 for the first.
        name: For reports.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.baton = _LOCK()
        self.baton.acquire()
        self.ident = 0
        self.due_s: float | None = None
        """When it goes on by itself, while it is parked; None if it is not parked."""
        self.was_woken = False
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiters: list[SimThread] = []


class Scheduler:
    """Threads, the clock, and the dice. Used by its own threads only, of which one runs.

    Args:
        seed: Decides every choice.
        preempt: Modules, by the beginning of their names, in which a thread may be interrupted
            between any two instructions.
        start_s: The first monotonic second.
    """

    def __init__(
        self, seed: int, *, preempt: tuple[str, ...] = (), start_s: float = 1000.0
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - it guards no secret
        self.now_s = start_s
        self.jumped_s = 0.0
        """How far the wall clock was set, forth or back."""
        self.delay_rate = self.random.choice(_DELAY_RATES)
        self.steps = 0
        self.trace = 0
        """A number that two runs share only if all their choices were the same."""
        self.failure: BaseException | None = None
        self.is_over = False
        self._is_still = False
        self._preempt = preempt
        self._span = self.random.choice(_SPANS)
        self._left = self._span
        self._threads: list[SimThread] = []
        self._current: SimThread | None = None
        self._over = _LOCK()
        self._over.acquire()

    # From outside -------------------------------------------------------------------------------

    def run(self, function: Callable[[], object], *, stuck_s: float) -> Any:
        """Run a function as the first thread, with all that it starts; give its result.

        Args:
            function: Called in a real thread of its own.
            stuck_s: Real seconds without a step after which something blocks for real.

        Raises:
            DeadlockError: If everything waits.
            BaseException: What any of the threads raised; it ends the others.
        """
        first = self.spawn(function, name="main")
        self._current = first
        first.baton.release()
        steps = -1
        while not self._over.acquire(timeout=stuck_s):
            if self.steps == steps:
                self.is_over = True
                raise DeadlockError(
                    "something blocks outside of the simulation:\n" + self._report()
                )
            steps = self.steps
        if self.failure is not None:
            raise self.failure
        return first.result

    # From simulated threads ---------------------------------------------------------------------

    @property
    def current(self) -> SimThread:
        """Tell the thread that runs."""
        if self._current is None:
            raise AssertionError("no simulation runs")
        return self._current

    @property
    def wall_s(self) -> float:
        """Tell the second of the wall clock since its start."""
        return self.now_s + self.jumped_s

    @property
    def is_alone(self) -> bool:
        """True if no other thread can ever wake this one."""
        return sum(not one.is_done for one in self._threads) == 1

    @property
    def has_failed(self) -> bool:
        """True if an error has ended the simulation."""
        return self.failure is not None

    def is_mine(self) -> bool:
        """Tell whether the calling thread is the simulated one that runs."""
        current = self._current
        return current is not None and current.ident == threading.get_ident()

    def spawn(self, function: Callable[..., object], *args: object, name: str = "") -> SimThread:
        """Start a simulated thread; it runs when it gets the baton."""
        number = len(self._threads)
        thread = SimThread(number, name or f"thread {number}")
        self._threads.append(thread)
        if number == 1 and self._preempt:
            sys.settrace(self._trace_call)
        context = copy_context()
        work = partial(self._work, thread, lambda: context.run(function, *args))
        current, self._current = self._current, None  # A real thread needs real locks.
        _START(threading.Thread(target=work, name=thread.name, daemon=True))
        self._current = current
        return thread

    def pause(self) -> None:
        """Let another thread go on, if the dice say so; or be late."""
        self._check()
        if self._is_still:
            return
        self._left = self.random.randint(1, self._span)
        if self.delay_rate and self.random.random() < self.delay_rate and len(self._threads) > 1:
            self.park(self.random.uniform(0, _DELAY_S_MAX))
            return
        ready = [one for one in self._threads if one.due_s is None and not one.is_done]
        if len(ready) > 1:
            self._hand_on(self.random.choice(ready))

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let no other thread go on, and throw no dice, while this one is inside."""
        before, self._is_still = self._is_still, True
        try:
            yield
        finally:
            self._is_still = before

    def park(self, timeout_s: float = inf) -> bool:
        """Wait until `unpark`, or until a time has passed; False if it was the time."""
        self._check()
        me = self.current
        if me.was_woken:
            me.was_woken = False
            return True
        me.due_s = self.now_s + max(timeout_s, 0.0)
        self._hand_on(self._next())
        me.due_s = None
        woken, me.was_woken = me.was_woken, False
        return woken

    def unpark(self, thread: SimThread) -> None:
        """Have a thread go on; if it is not parked, its next `park` ends at once."""
        thread.was_woken = True
        thread.due_s = None

    def join(self, thread: SimThread, timeout_s: float = inf) -> bool:
        """Wait until a thread has ended; False if it has not in time."""
        due_s = self.now_s + timeout_s
        while not thread.is_done and self.now_s < due_s:
            thread.waiters.append(self.current)
            self.park(due_s - self.now_s)
            thread.waiters.remove(self.current)
        return thread.is_done

    def note(self, what: int) -> None:
        """Take a choice into the trace."""
        self.steps += 1
        self.trace = hash((self.trace, what, self.now_s))

    def fail(self, error: BaseException) -> None:
        """End the simulation with an error."""
        if self.failure is None:
            self.failure = error

    # Within -------------------------------------------------------------------------------------

    def _work(self, thread: SimThread, function: Callable[[], object]) -> None:
        thread.baton.acquire()
        thread.ident = threading.get_ident()
        if self._preempt and len(self._threads) > 1:
            sys.settrace(self._trace_call)
        try:
            self._check()
            thread.result = function()
        except SimulationAborted:
            thread.error = None
        except BaseException as error:  # noqa: BLE001 - the simulation ends with it
            thread.error = error
            self.fail(error)
        finally:
            sys.settrace(None)
            thread.is_done = True
            self._end(thread)

    def _end(self, thread: SimThread) -> None:
        for waiter in thread.waiters:
            self.unpark(waiter)
        if thread.number == 0 or self.failure is not None:
            self.is_over = True
        left = [one for one in self._threads if not one.is_done]
        if not left:
            self._over.release()
            return
        following = left[0] if self.is_over else self._next_or_fail(left)
        self._current = following
        following.baton.release()

    def _next_or_fail(self, left: list[SimThread]) -> SimThread:
        try:
            return self._next()
        except SimulationAborted:
            return left[0]

    def _check(self) -> None:
        if self.is_over:
            raise SimulationAborted

    def _next(self) -> SimThread:
        """Choose who goes on; let time pass if all wait.

        Raises:
            SimulationAborted: If nobody can: a deadlock.
        """
        while True:
            ready = [one for one in self._threads if one.due_s is None and not one.is_done]
            if ready:
                return self.random.choice(ready) if len(ready) > 1 else ready[0]
            due_s = min(one.due_s for one in self._threads if one.due_s is not None)
            if due_s == inf:
                self.fail(DeadlockError("everything waits:\n" + self._report()))
                self.is_over = True
                raise SimulationAborted
            self.now_s = max(self.now_s, due_s)
            for one in self._threads:
                if one.due_s is not None and one.due_s <= self.now_s:
                    one.due_s = None

    def _hand_on(self, following: SimThread) -> None:
        me = self.current
        self.note(following.number)
        if following is me:
            return
        self._current = following
        following.baton.release()
        me.baton.acquire()
        self._check()

    def _report(self) -> str:
        frames = sys._current_frames()  # noqa: SLF001 - the only way to see where others wait
        waiting = [one for one in self._threads if not one.is_done][:_WAITING_SHOWN]
        return "\n".join(
            f"{one.name}:\n{''.join(_stack(frames.get(one.ident)))}" for one in waiting
        )

    def _trace_call(self, frame: FrameType, event: str, arg: object) -> Any:
        """Preempt the frames of the modules that are meant, and leave all others alone."""
        del event, arg
        module = str(frame.f_globals.get("__name__"))
        if not module.startswith(self._preempt) or module.startswith(_OWN):
            return None
        if frame.f_code.co_name == "<module>":
            return None  # The import lock is held, which is a real one.
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._trace_step

    def _trace_step(self, frame: FrameType, event: str, arg: object) -> Any:
        del frame, arg
        if event == "opcode":
            self._left -= 1
            if self._left <= 0:
                self.pause()
        return self._trace_step


def _stack(frame: FrameType | None) -> list[str]:
    """Show where a thread waits, without what this package does there."""
    if frame is None:
        return ["  not started\n"]
    here = _OWN.replace(".", "/")
    own = [one for one in traceback.extract_stack(frame) if here not in one.filename]
    shown = [one for one in own if not one.filename.endswith("threading.py")][-_FRAMES_SHOWN:]
    return traceback.format_list(shown)
