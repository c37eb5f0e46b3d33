"""Hedge: when a call takes unusually long, make it once more, and take whichever is first."""

import random
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from resile.core.clock import Clock
from resile.core.units import parse_duration
from resile.policies.context import RETRY_OWNER, remaining_s
from resile.policies.forks import renew_in_children
from resile.policies.hedging import HedgePlan, Race
from resile.policies.lateness import too_slow
from resile.policies.layer import Measure
from resile.policies.nesting import is_within_retry
from resile.policies.options import Options
from resile.policies.policy import Policy

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge(Policy):
    """Make a call once more when it takes unusually long, and take the first result.

    Only for calls that may be made twice. A call that fails is not hedged: that is for a retry.
    Tasks that lose are cancelled. Plain functions run in threads of their own, which nothing can
    stop: one that loses goes on to its end, and its result is dropped.

    Args:
        after: When the next is made: a duration, 1ms..1h, or a percentile of the latest
            latencies as "p50".."p99". Default "p95".
        initial: Used for `after` while fewer than 20 latencies are known, 1ms..1h. Default 1 s.
        hedges: Further calls for one, 1..5. Default 1.
        budget: Further calls as a share of all, 0..1, with up to ten saved up. Default 0.05: so
            much load is added at most, however slow everything is.
        running_max: Threads and tasks at once that are raced or have lost and still run, 2..10000.
            Above it calls are made directly, without a hedge. Default 64.

    Raises:
        TimeoutExceededError: From a plain call whose deadline is over, however it goes on.
    """

    position: ClassVar[int] = 35
    after: float | str = "p95"
    initial: float | str = 1.0
    hedges: int = 1
    budget: float = 0.05
    running_max: int = 64

    def check_options(self, options: Options) -> None:
        """Check each option by itself."""
        if self._share() is None:
            options.seconds("after", low=0.001, high=3600)
        options.seconds("initial", low=0.001, high=3600)
        options.whole("hedges", low=1, high=5)
        options.number("budget", low=0, high=1)
        options.whole("running_max", low=2, high=10_000)

    def layer(self, name: str, clock: Clock, chance: random.Random) -> "HedgeLayer":
        """Make what is known of the latencies of one guarded name."""
        del chance
        return HedgeLayer(self, name, clock)

    def plan(self) -> HedgePlan:
        """Give a new plan, which knows no latencies."""
        share = self._share()
        return HedgePlan(
            share=share,
            delay_s=parse_duration(self.initial if share else self.after),
            budget=self.budget,
        )

    def _share(self) -> float | None:
        """Give the percentile as a share; None if `after` is none in p50..p99."""
        text = str(self.after)
        if text[:1] != "p" or not text[1:].isdigit() or not 50 <= int(text[1:]) <= 99:
            return None
        return int(text[1:]) / 100


class HedgeLayer:
    """What is known of the latencies of one name. Safe to share between threads and tasks.

    Args:
        policy: Its options.
        name: The guard's name, for errors.
        clock: Measures calls.
    """

    def __init__(self, policy: Hedge, name: str, clock: Clock) -> None:
        self._policy = policy
        self._name = name
        self._clock = clock
        self._plan = policy.plan()
        self._lock = threading.Lock()
        self._running: set[object] = set()
        self._hedges = 0
        renew_in_children(self)

    def renew(self) -> None:
        """Forget the threads and tasks of the parent process; keep the latencies."""
        self._lock = threading.Lock()
        self._running = set()

    @property
    def running(self) -> int:
        """Tell the threads and tasks that have not ended, with those that lost."""
        return len(self._running)

    def adopt(self, policy: Policy, /) -> bool:
        """Take other options; latencies stay known if the same is asked of them."""
        if not isinstance(policy, Hedge):
            return False
        with self._lock:
            asked = [(one.after, one.initial, one.budget) for one in (self._policy, policy)]
            if asked[0] != asked[1]:
                self._plan = policy.plan()
            self._policy = policy
        return True

    def measures(self) -> tuple[Measure, ...]:
        """Give how many hedges there were, and what runs."""
        return (Measure("hedges", self._hedges), Measure("hedged_running", self.running))

    def run(self, call: Callable[[], T], /) -> T:
        """Do `call` in a thread, and once more in another if it takes long."""
        race = self._race()
        outcomes: SimpleQueue[_Outcome] = SimpleQueue()
        if not self._spawn(call, outcomes):
            return call()
        while True:
            outcome = self._next(outcomes, race)
            if outcome is None:
                if self._may_hedge(race) and self._spawn(call, outcomes):
                    race.hedged()
            elif outcome.error is None:
                return cast("T", outcome.value)
            else:
                race.failed(outcome.error)

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        """Do `call` in a task, and once more in another if it takes long."""
        import asyncio

        race = self._race()
        if self._is_full():
            return await call()
        started = {self._start(call): self._clock.monotonic()}
        pending = set(started)
        try:
            while True:
                done, pending = await asyncio.wait(
                    pending, timeout=race.patience_s(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        self._learn(started, pending)
                        return task.result()
                    race.failed(error)
                if not done and self._may_hedge(race):
                    race.hedged()
                    hedge = self._start(call)
                    started[hedge] = self._clock.monotonic()
                    pending.add(hedge)
        except asyncio.CancelledError:
            await _end(pending)
            raise
        finally:
            for task in pending:
                task.cancel()

    def _race(self) -> Race:
        with self._lock:
            return Race(self._plan.begin(), self._policy.hedges)

    def _may_hedge(self, race: Race) -> bool:
        """Tell whether to make one more; if not now, then not for this call."""
        if race.hedges:
            with self._lock:
                if not self._is_full() and self._plan.take():
                    self._hedges += 1
                    return True
            race.hedges = 0
        return False

    def _is_full(self) -> bool:
        return len(self._running) >= self._policy.running_max

    def _add(self, latency_s: float) -> None:
        with self._lock:
            self._plan.add(latency_s)

    def _next(self, outcomes: "SimpleQueue[_Outcome]", race: Race) -> "_Outcome | None":
        """Wait for an outcome; None if it is time for something else.

        Raises:
            TimeoutExceededError: If the deadline of the calls around is over.
        """
        left_s = remaining_s(self._clock)
        try:
            return outcomes.get(timeout=min(race.patience_s(), left_s))
        except Empty:
            if remaining_s(self._clock) <= 0:
                raise too_slow(self._name, left_s) from None
            return None

    def _spawn(self, call: Callable[[], object], outcomes: "SimpleQueue[_Outcome]") -> bool:
        """Make a call in a thread of its own; False if there are too many, or none can start."""
        if self._is_full():
            return False
        running, me = self._running, object()
        thread = threading.Thread(
            target=self._context().run,
            args=(self._work, call, outcomes, partial(running.discard, me)),
            daemon=True,
        )
        running.add(me)
        try:
            thread.start()
        except RuntimeError:
            running.discard(me)
            return False
        return True

    def _work(
        self,
        call: Callable[[], object],
        outcomes: "SimpleQueue[_Outcome]",
        end: Callable[[], None],
    ) -> None:
        started_s = self._clock.monotonic()
        try:
            value = call()
            self._add(self._clock.monotonic() - started_s)
            outcomes.put(_Outcome(value, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            outcomes.put(_Outcome(None, error))
        finally:
            end()

    def _start(self, call: Callable[[], Awaitable[T]]) -> "asyncio.Task[T]":
        """Make a call in a task of its own; this layer keeps the task until it has ended."""
        import asyncio

        async def work() -> T:
            started_s = self._clock.monotonic()
            value = await call()
            self._add(self._clock.monotonic() - started_s)
            return value

        task = asyncio.create_task(work(), context=self._context())
        running = self._running
        running.add(task)
        task.add_done_callback(partial(_bury, running))
        return task

    def _context(self) -> Context:
        """Give what a call inherits: a stack of its own does not show the retry around it."""
        context = copy_context()
        if is_within_retry(self):
            context.run(RETRY_OWNER.set, True)
        return context

    def _learn(
        self, started: "dict[asyncio.Task[T], float]", losers: "set[asyncio.Task[T]]"
    ) -> None:
        """Count what the losers have taken so far: without them, slow calls would look rare."""
        now = self._clock.monotonic()
        for task in losers:
            self._add(now - started[task])


class _Outcome:
    """What came of one call in a thread."""

    __slots__ = ("error", "value")

    def __init__(self, value: object, error: BaseException | None) -> None:
        self.value = value
        self.error = error


def _bury(running: set[object], task: "asyncio.Task[object]") -> None:
    """Drop a task that has ended, and its error, which nobody else may look at."""
    running.discard(task)
    if not task.cancelled():
        task.exception()


async def _end(tasks: "set[asyncio.Task[T]]") -> None:
    """Cancel tasks and wait until they have cleaned up, as a call without a hedge would."""
    import asyncio

    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
