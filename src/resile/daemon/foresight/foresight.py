"""Looks ahead: measures what runs every five seconds, journals what will run out, and keeps the scores.

It survives a restart of the brain as far as the journal tells: predictions that are open, and how right
each predictor was. What was measured, what is usual for checks, and trends begin anew.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from resile.core.clock import Clock
from resile.core.events import (
    FaultOpened,
    Payload,
    PlanFinished,
    ProcessExited,
    ProcessStarted,
)
from resile.core.journal import Journal, Query
from resile.core.log_line import log_line
from resile.core.vocabulary import CheckState, EndKind, FaultKind, Part, Phase
from resile.daemon.foresight import expiring, scoring
from resile.daemon.foresight.disks import DiskGauge
from resile.daemon.foresight.gauging import Gauges, pools
from resile.daemon.foresight.plan import ForesightPlan
from resile.daemon.foresight.scoring import Seen
from resile.daemon.foresight.showing import prediction_views, score_view
from resile.daemon.protocol import Instance
from resile.daemon.shortages import Shortages
from resile.errors import ConfigError, JournalError, MissingExtraError
from resile.health import CheckResult, ProcessSample
from resile.health.prediction import KINDS, SAMPLE_S, Forecast, Predictions
from resile.health.prediction.opening import find_predictor
from resile.health.score import Oddity, Score, Trend
from resile.incidents import IncidentBook
from resile.recover import World, service_of, service_target

logger = logging.getLogger(__name__)

HEAR_S = 1.0
"""Between two looks at what checks said; a check that is looked at more often is heard in part."""
LOOK_EVERY = round(SAMPLE_S / HEAR_S)
RECORDS_AT_START = 2000
"""Of predictions; each resource's last ten outcomes tell how right its predictor is."""
CRASHES_FOR_S = 600.0
CRASHES_MAX = 100
"""So many bad ends are remembered, of all services."""
_CRASHES = (FaultKind.CRASH, FaultKind.CRASH_LOOP, FaultKind.HANG, FaultKind.START_FAILED)
_WANTED_ENDS = (EndKind.STOPPED, EndKind.KILLED, EndKind.UNKNOWN)
_GOOD = (CheckState.UP, CheckState.DEGRADED)


class Sources(Protocol):
    """Where what is measured elsewhere comes from. On the brain's event loop."""

    def samples(self) -> Mapping[str, ProcessSample]:
        """Give the newest figures of each service's main process."""
        ...

    def results(self) -> Mapping[str, CheckResult]:
        """Give the newest result of each check."""
        ...

    def guards(self) -> Sequence[Mapping[str, Any]]:
        """Give the guards of every process."""
        ...

    def secrets(self) -> Sequence[Mapping[str, Any]]:
        """Give the secrets, without their values."""
        ...


class Foresight:
    """Lives on the brain's event loop.

    Args:
        plan: What there is.
        world: What recovery knows.
        book: The incidents.
        tell: Journals payloads.
        sources: What is measured elsewhere.
        clock: Tells the time.
    """

    def __init__(
        self,
        plan: ForesightPlan,
        *,
        world: World,
        book: IncidentBook,
        tell: Callable[..., None],
        sources: Sources,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._world = world
        self._book = book
        self._tell = tell
        self._sources = sources
        self._clock = clock
        self._gauges = Gauges(plan)
        self._predictions = _predictions(plan.predictor, clock)
        self._service_of = {spec.id: spec.service for spec in plan.checks}
        self._heard_at: dict[str, datetime] = {}
        self._oddities: dict[str, Oddity] = {}
        self._trends: dict[str, Trend] = {}
        self._crashes: deque[tuple[str, float]] = deque(maxlen=CRASHES_MAX)
        self._shares: dict[str, list[tuple[str, float]]] = {}
        self._scores: Mapping[str, Score] = {}
        self._disks = DiskGauge(plan)
        self._shortages = Shortages(world)

    def read(self, journal: Journal) -> None:
        """Take up what earlier brains predicted. Blocks; a journal that cannot be read tells nothing."""
        query = Query(kinds=KINDS, limit=RECORDS_AT_START, is_newest_first=True)
        try:
            records = journal.read(query)
        except JournalError:  # Whoever appends tells the trouble.
            return
        for record in reversed(records):
            self._predictions.restore(record.event.payload(), record.event.at)

    def adopt(self, instances: Iterable[Instance]) -> None:
        """Note what runs already."""
        for instance in instances:
            self._gauges.began(instance.service, instance.cgroup)

    def apply(self, payload: Payload | None) -> None:
        """Follow what the journal tells of processes, faults and plans."""
        if isinstance(payload, ProcessStarted):
            self._gauges.began(payload.service, payload.cgroup)
        elif isinstance(payload, ProcessExited):
            self._end_process(payload)
        elif isinstance(payload, PlanFinished) and payload.is_effective:
            self._told(self._predictions.avert(payload.target, payload.detail or "a plan helped"))
        elif isinstance(payload, FaultOpened) and payload.fault in _CRASHES:
            name = service_of(payload.target) or payload.target
            self._crashes.append((name, self._clock.monotonic()))

    async def run(self) -> None:
        """Look until cancelled."""
        self._disks.start()
        rounds = 0
        while True:
            try:
                self.hear()
                if rounds % LOOK_EVERY == 0:
                    self.look()
            except OSError as exc:  # Such as no descriptors: the next round is better.
                logger.warning("foresight.failed reason=%s", exc, extra={"reason": str(exc)})
            rounds += 1
            await asyncio.sleep(HEAR_S)

    def close(self) -> None:
        """Measure no disk any more."""
        self._disks.close()

    # Looking ------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take what checks said since the last time, of what is running."""
        now_s = self._clock.monotonic()
        for check, result in self._sources.results().items():
            if self._heard_at.get(check) == result.at:
                continue
            self._heard_at[check] = result.at
            service = self._service_of.get(check)
            is_steady = not service or self._world.phase(service) is Phase.RUNNING
            if service is not None and is_steady and result.state is not CheckState.UNKNOWN:
                oddity = self._oddities.setdefault(check, Oddity())
                oddity.see(now_s, result.latency_s, is_good=result.state in _GOOD)

    def look(self) -> None:
        """Measure, predict, and score."""
        guards = self._sources.guards()
        readings = [
            *self._gauges.processes(self._sources.samples()),
            *pools(guards),
            *self._disks.take(),
        ]
        self._told(self._shortages.look(readings, guards))
        self._shares = {}
        for reading in readings:
            source = reading.source
            name = f"{source.resource} {source.detail}".rstrip()
            self._shares.setdefault(source.target, []).append((name, reading.share))
        expiries = [
            *expiring.certificates(self._plan.checks, self._sources.results()),
            *expiring.secrets(self._sources.secrets(), self._plan.secret_lifetimes_s),
        ]
        if not self._is_off():
            self._told(self._predictions.observe(readings))
            self._told(self._predictions.expire(expiries))
        self._score()

    def _is_off(self) -> bool:
        return self._world.switches.is_off(Part.PREDICTION, now=self._clock.now())

    def _end_process(self, exited: ProcessExited) -> None:
        has_failed = not exited.is_graceful and exited.end not in _WANTED_ENDS
        self._told(
            self._predictions.end_process(
                service_target(exited.service),
                has_failed=has_failed,
                lacked_memory=exited.end is EndKind.OOM,
            )
        )
        if exited.end is EndKind.MACHINE_OOM:
            ended = self._predictions.end_process(
                scoring.SYSTEM, has_failed=True, lacked_memory=True
            )
            self._told(ended)

    def _score(self) -> None:
        now_s = self._clock.monotonic()
        while self._crashes and now_s - self._crashes[0][1] > CRASHES_FOR_S:
            self._crashes.popleft()
        self._scores = scoring.scores(self._plan, self._seen())
        for target, score in self._scores.items():
            self._trends.setdefault(target, Trend()).add(now_s, score.value)

    def _seen(self) -> Seen:
        crashes: dict[str, int] = {}
        for name, _ in self._crashes:
            crashes[name] = crashes.get(name, 0) + 1
        left_s: dict[str, float] = {}
        for one in self.forecasts():
            left_s[one.target] = min(one.left_s, left_s.get(one.target, one.left_s))
        return Seen(
            world=self._world,
            faults=[fault for fault in self._book.faults.values() if fault.is_open],
            oddities=self._oddities,
            shares=self._shares,
            crashes=crashes,
            left_s=left_s,
        )

    def _told(self, payloads: Sequence[Payload]) -> None:
        if payloads:
            self._tell(*payloads)

    # What is known ------------------------------------------------------------------------------

    def forecasts(self) -> Sequence[Forecast]:
        """Give what is expected to run out, the first first; nothing of what muted predictors expect.

        Nothing is while prediction is off: what was expected before is not looked at any more.
        """
        if self._is_off():
            return []
        return [one for one in self._predictions.forecasts() if not one.is_muted]

    def scores(self) -> Mapping[str, Score]:
        """Give the last scores, by `service/NAME` and `system`."""
        return self._scores

    def precisions(self) -> Iterator[tuple[str, str, float]]:
        """Give resource, target and precision of each predictor that has shown something."""
        for source, track in self._predictions.tracks().items():
            if track.precision is not None:
                yield source.resource.value, source.target, track.precision

    def health(self, target: str) -> Mapping[str, Any] | None:
        """Show the score of a target; None if nothing is known of it."""
        score = self._scores.get(target)
        if score is None:
            return None
        return score_view(score, self._trends[target].change())

    def predictions(self) -> Sequence[Mapping[str, Any]]:
        """Show what is expected to run out."""
        return prediction_views(self.forecasts())


def _predictions(name: str, clock: Clock) -> Predictions:
    """Make predictions by the predictor that is wanted; by ours if that one is not to be had."""
    try:
        return Predictions(clock=clock, make=find_predictor(name), name=name)
    except (ConfigError, MissingExtraError) as exc:
        fields: dict[str, object] = {"reason": exc.message, "hint": exc.hint}
        logger.warning(log_line("foresight.predictor_missing", fields), extra=fields)
        return Predictions(clock=clock)
