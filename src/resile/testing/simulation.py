"""Run a scenario in a simulated world, once for each of many seeds, and name the seed that fails."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from typing import Any, Final

from resile.testing.adopting import Adopted, Adoption
from resile.testing.loop import SimulationLoop
from resile.testing.patching import simulated, sleep
from resile.testing.scheduler import Scheduler, SimThread

SEEDS: Final = range(100)
"""The seeds of a simulation that names none: a second or two for a scenario of some hundred calls."""
_STUCK_S: Final = 20.0
"""Real seconds without a step; all of a simulation are quick, so something blocks for real."""
Scenario = Callable[["Simulation"], Coroutine[Any, Any, object] | object]


class Simulation:
    """What a scenario gets: dice, time and threads. Used by simulated threads only.

    Args:
        seed: What decides all.
        scheduler: Runs it.
    """

    def __init__(self, seed: int, scheduler: Scheduler) -> None:
        self.seed = seed
        self.random: random.Random = random.Random(seed)  # noqa: S311 - it guards no secret
        """Dice for the scenario's own choices."""
        self._scheduler = scheduler

    @property
    def now_s(self) -> float:
        """Tell the simulated monotonic second, as `time.monotonic()` does."""
        return self._scheduler.now_s

    @property
    def trace(self) -> int:
        """Tell a number that two runs share only if all choices in them were the same."""
        return self._scheduler.trace

    def thread(self, function: Callable[..., object], *args: object, name: str = "") -> SimThread:
        """Start a simulated thread; an error that it raises ends the simulation."""
        return self._scheduler.spawn(function, *args, name=name)

    def join(self, *threads: SimThread) -> None:
        """Wait until threads have ended."""
        for thread in threads:
            self._scheduler.join(thread)

    def pause(self) -> None:
        """Let other threads go on here, if the dice say so."""
        self._scheduler.pause()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back, as an operator or NTP does; `monotonic` stays."""
        self._scheduler.jumped_s += seconds

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass for this thread, as `time.sleep` does."""
        sleep(self._scheduler, seconds)


def simulate(
    scenario: Scenario, *, seeds: Iterable[int] | int = SEEDS, preempt: Iterable[str] = ()
) -> int:
    """Run a scenario in a simulated world for each seed.

    Inside, `time`, `asyncio` and what `threading` makes are simulated: hours pass in milliseconds,
    one thread runs at a time, and the seed decides which, when it is interrupted, which of several
    tasks goes on, and what is late. Sockets, files and processes are the real ones: do without.
    Locks must be made inside; guards begin anew in each run, also those that were made before. Blocks the calling thread; one at a time in a process.

    Args:
        scenario: A function or a coroutine function of a `Simulation`. Asserts in it are the point.
        seeds: Several, or one to see a failure again. Default 0..99.
        preempt: Modules, by the beginnings of their names, in which threads are interrupted between
            any two instructions; elsewhere only at locks and sleeps.

    Returns:
        The `trace` of the last run: equal if a seed is run again.

    Raises:
        DeadlockError: If everything waits; it shows where.
        TypeError: If seeds or preempt is a text.
        AssertionError: If a simulation or `policies()` runs already.
        BaseException: What the scenario raised, with a note of the seed.
    """
    if isinstance(preempt, str) or isinstance(seeds, str):
        raise TypeError(
            f'a list is not a text: write preempt=("shop",) and seeds=range(9), not {preempt!r} '
            f"and {seeds!r}"
        )
    trace = 0
    for seed in (seeds,) if isinstance(seeds, int) else seeds:
        try:
            trace = _run(scenario, seed, tuple(preempt))
        except BaseException as error:
            error.add_note(f"simulation: seed {seed}; see it again with seeds={seed}")
            raise
    return trace


def _run(scenario: Scenario, seed: int, preempt: tuple[str, ...]) -> int:
    scheduler = Scheduler(seed, preempt=preempt)
    simulation = Simulation(seed, scheduler)

    def main() -> None:
        Adoption(_no_script, _as_it_is, undo, scheduler.still)
        made = scenario(simulation)
        if asyncio.iscoroutine(made):
            loop = SimulationLoop(scheduler)  # type: ignore[abstract]  # no network, no processes
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(made)

    with simulated(scheduler), ExitStack() as undo:
        scheduler.run(main, stuck_s=_STUCK_S)
    return scheduler.trace


def _no_script(name: str) -> None:
    """Do nothing to attempts."""


def _as_it_is(adopted: Adopted) -> None:
    """Change nothing of a guard."""
