"""Run all checks in their rhythm and tell what changed: one timer thread and a pool of lookers."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import inf

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import CheckChanged
from resile.core.process import Identity, boot_id
from resile.core.spawning import run_bounded
from resile.health.agenda import Agenda, Job, Moment
from resile.health.checks import LookContext, RunCommand, look
from resile.health.model import CheckResult, CheckSpec, Streak
from resile.health.workers import Workers

WORKERS_MAX = 64
"""Threads that look. They are started when needed and mostly wait for an answer, so they cost
little; 64 of them carry 640 checks that each hang for one second in ten."""
SLOW_WORKERS_MAX = 32
"""Threads that slow checks may hold together: the other half always serves the quick ones."""
CLOSE_TIMEOUT_S = 2.0
"""How long `close` waits for looks that run: two default time-outs."""
IDLE_WAIT_S_MAX = 3600.0
"""The timer wakes at least so often; threads cannot wait for ever on every platform."""

logger = logging.getLogger(__name__)


class Scheduler:
    """Look at every check in its rhythm. Safe to share between threads.

    Checks without a service run from `start` on; those of a service while it runs. A check
    never overlaps itself: when its slot comes and its last look still runs beyond its time-out,
    that counts as a bad result.

    The callbacks are called from the timer's thread only, one after the other, in the order in
    which things happened, and not before `start`. They must return quickly and must not wait
    for this object; what they raise is logged.

    Args:
        specs: The checks; ids must be unique.
        clock: Where the time comes from.
        on_change: Told of every change of a check's state, once.
        on_result: Told of every result that counted or was at least new.
        run: Runs commands for the checks of that kind.
    """

    def __init__(
        self,
        specs: Iterable[CheckSpec],
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_change: Callable[[CheckChanged], None],
        on_result: Callable[[CheckResult], None] | None = None,
        run: RunCommand = run_bounded,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._on_result = on_result
        self._condition = threading.Condition()
        self._agenda = Agenda(specs, now=self._now())
        self._news: deque[CheckChanged | CheckResult] = deque()
        self._processes: dict[str, Identity] = {}
        self._beats_s: dict[str, float] = {}
        self._ready: set[str] = set()
        self._begun_s = clock.monotonic()
        self._context = LookContext(
            clock=clock, run=run, process_of=self._process_of, silence_s_of=self._silence_s_of
        )
        self._workers: Workers[Job] = Workers(
            self._look, threads_max=WORKERS_MAX, slow_max=SLOW_WORKERS_MAX
        )
        self._timer = threading.Thread(target=self._tick, name="resile-checks", daemon=True)
        self._is_closed = False

    # Life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look. Once only."""
        self._timer.start()

    def close(self) -> None:
        """Stop looking; wait at most `CLOSE_TIMEOUT_S` for looks that run. Idempotent.

        No callback is called after it returned, unless one hangs.
        """
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        left = self._workers.close(clock=self._clock, timeout_s=CLOSE_TIMEOUT_S)
        if left:
            logger.warning("scheduler.looks_abandoned", extra={"count": left})
        if self._timer.is_alive():
            self._timer.join(CLOSE_TIMEOUT_S)

    # What is known ------------------------------------------------------------------------------

    def streaks(self) -> dict[str, Streak]:
        """Give where every check stands, for the checkpoint."""
        with self._condition:
            return self._agenda.streaks()

    def results(self) -> dict[str, CheckResult]:
        """Give the latest result of every check that was looked at."""
        with self._condition:
            return self._agenda.results()

    def restore(self, streaks: Mapping[str, Streak]) -> None:
        """Go on from where checks stood before; call it before `start`. Unknown ids are ignored."""
        with self._condition:
            self._agenda.restore(streaks)

    # Who is looked at ---------------------------------------------------------------------------

    def service_started(
        self,
        service: str,
        *,
        pid: int,
        start_ticks: int,
        at: datetime,
        is_adopted: bool = False,
    ) -> None:
        """Look at a service's new process: its checks are UNKNOWN until they see it work.

        Until then they are looked at every `EXTRA_INTERVAL_S`, for at most `EXTRA_FOR_S`.

        Args:
            service: Its name.
            pid: Of its main process.
            start_ticks: Field 22 of /proc/PID/stat, which tells two processes of one pid apart.
            at: When it started; the grace of its checks begins here.
            is_adopted: It ran already under an earlier brain: what `restore` brought stays known.
        """
        with self._condition:
            now = self._now()
            identity = Identity(boot_id=boot_id(), pid=pid, start_ticks=start_ticks)
            self._processes[service] = identity
            self._beats_s[service] = self._monotonic_of(at, now)
            self._ready.discard(service)
            if is_adopted:
                self._agenda.service_adopted(service, now)
            else:
                self._news += self._agenda.service_started(service, now, at=at)
            self._condition.notify()

    def service_ready(self, service: str, at: datetime) -> None:
        """Hold a service to its live checks and its heartbeats: its start is over since `at`.

        Before that its heartbeats are not waited for: while it starts it has other things to do.

        Source: `WatchdogSec` in systemd.service(5) counts from the end of the start, too.
        """
        with self._condition:
            now = self._now()
            self._ready.add(service)
            beat_s = self._monotonic_of(at, now)
            self._beats_s[service] = max(beat_s, self._beats_s.get(service, -inf))
            self._news += self._agenda.service_ready(service, now)
            self._condition.notify()

    def service_stopped(self, service: str) -> None:
        """Stop looking at a service: its checks are UNKNOWN, late results are dropped."""
        with self._condition:
            self._processes.pop(service, None)
            self._beats_s.pop(service, None)
            self._ready.discard(service)
            self._news += self._agenda.service_stopped(service, self._now())
            self._condition.notify()

    def beat(self, source: str, at: datetime) -> None:
        """Note a heartbeat of a service, or of the target of a system check, at time `at`."""
        with self._condition:
            beat_s = self._monotonic_of(at, self._now())
            self._beats_s[source] = max(beat_s, self._beats_s.get(source, -inf))

    def look_again(self) -> None:
        """Look at everything once more now, such as after the clock was set."""
        with self._condition:
            self._agenda.look_again(self._now())
            self._condition.notify()

    def pause(self, check: str) -> None:
        """Do not look at a check until it is resumed; it is UNKNOWN meanwhile. Idempotent.

        Raises:
            KeyError: If there is no such check.
        """
        with self._condition:
            self._news += self._agenda.pause(check, self._now())
            self._condition.notify()

    def resume(self, check: str) -> None:
        """Look at a paused check again. Idempotent.

        Raises:
            KeyError: If there is no such check.
        """
        with self._condition:
            self._agenda.resume(check, self._now())
            self._condition.notify()

    # The timer's thread -------------------------------------------------------------------------

    def _tick(self) -> None:
        while True:
            with self._condition:
                self._wait_for_work()
                if self._is_closed:
                    return
                jobs, changes = self._agenda.take_due(self._now())
                self._news += changes
                news = list(self._news)
                self._news.clear()
            for job in jobs:
                self._workers.submit(job, is_slow=job.is_slow)
            for item in news:
                self._tell(item)

    def _wait_for_work(self) -> None:
        while not self._is_closed and not self._news:
            wait_s = self._agenda.next_due_s() - self._clock.monotonic()
            if wait_s <= 0:
                return
            self._condition.wait(min(wait_s, IDLE_WAIT_S_MAX))

    def _tell(self, item: CheckChanged | CheckResult) -> None:
        try:
            if isinstance(item, CheckChanged):
                self._on_change(item)
            elif self._on_result is not None:
                self._on_result(item)
        except Exception:
            logger.exception("scheduler.callback_failed", extra={"check": item.check})

    # The lookers' threads -----------------------------------------------------------------------

    def _look(self, job: Job) -> None:
        with self._condition:
            if not self._agenda.begin(job, self._now()):
                return
        result = look(job.spec, self._context)
        with self._condition:
            is_news, changes = self._agenda.finish(job, result)
            if is_news and self._on_result is not None:
                self._news.append(result)
            self._news += changes
            if self._news or self._agenda.next_due_s() <= self._clock.monotonic():
                self._condition.notify()

    def _process_of(self, service: str) -> Identity | None:
        with self._condition:
            return self._processes.get(service)

    def _silence_s_of(self, source: str) -> float | None:
        with self._condition:
            if source in self._processes and source not in self._ready:
                return None
            return self._clock.monotonic() - self._beats_s.get(source, self._begun_s)

    # Helpers ------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        return Moment(at=self._clock.now(), monotonic_s=self._clock.monotonic())

    def _monotonic_of(self, at: datetime, now: Moment) -> float:
        """Put a wall-clock time onto the monotonic clock; a time to come counts as now."""
        return now.monotonic_s - max(0.0, (now.at - at).total_seconds())
