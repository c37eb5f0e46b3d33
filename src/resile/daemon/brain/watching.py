"""The brain's eyes: the checks of what runs, and the figures of its processes."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from resile.core.clock import Clock
from resile.core.events import (
    CheckChanged,
    HeartbeatReceived,
    Payload,
    ProcessExited,
    ProcessStarted,
    ServiceNotified,
    ServiceReady,
)
from resile.core.journal import SqliteJournal
from resile.daemon.brain.history import last_beats
from resile.daemon.loop import Loop
from resile.daemon.protocol import Instance, Notified
from resile.health import CheckSpec, ProcessSample, ProcessSampler, Scheduler, Streak
from resile.recover import World

UNASKED = "guard"


class Watching:
    """Runs the checks and samples processes. Lives on the brain's event loop.

    Args:
        world: What recovery knows.
        loop: Takes what changed.
        checks: Every declared check.
        clock: Where time comes from.
    """

    def __init__(
        self, world: World, *, loop: Loop, checks: Sequence[CheckSpec], clock: Clock
    ) -> None:
        events = asyncio.get_running_loop()
        self._world = world
        self._loop = loop
        self._checks = checks
        self._clock = clock
        self._sampler = ProcessSampler(clock=clock)
        self.samples: Mapping[str, ProcessSample] = {}
        """Of each service, as they were measured last."""
        self.scheduler = Scheduler(
            checks,
            clock=clock,
            on_change=lambda change: _from_thread(events, self._on_change, change),
        )

    def start(
        self,
        streaks: Mapping[str, Streak],
        instances: Sequence[Instance],
        journal: SqliteJournal,
    ) -> None:
        """Go on where the last brain stood.

        Args:
            streaks: How each check stood.
            instances: What runs.
            journal: Tells the last heartbeats.
        """
        self.scheduler.restore(streaks)
        for instance in instances:
            self._adopt(instance)
        for record in last_beats(journal, self._checks):
            self.scheduler.beat(record.event.subject.removeprefix("check/"), record.event.at)
        self.scheduler.start()

    async def close(self) -> None:
        """Stop looking."""
        await asyncio.to_thread(self.scheduler.close)
        self._sampler.close()

    def sample(self) -> None:
        """Measure each service's main process anew."""
        self.samples = self._sampler.sample()

    def apply(self, payload: Payload | None, at: datetime) -> None:
        """Follow what the journal tells of processes and heartbeats; None: of a kind to come."""
        if isinstance(payload, ProcessStarted):
            self._begin(payload, at)
        elif isinstance(payload, ServiceReady):
            self.scheduler.service_ready(payload.service, at)
        elif isinstance(payload, HeartbeatReceived):
            self.scheduler.beat(payload.check, at)
        elif isinstance(payload, ProcessExited):
            self.scheduler.service_stopped(payload.service)
            self._sampler.forget(payload.service)

    def notice(self, notice: Notified) -> None:
        """Take what a service says of itself."""
        if notice.is_watchdog:
            self.scheduler.beat(notice.service, self._clock.now())
        if notice.is_ready or notice.is_stopping:
            self._loop.tell(
                ServiceNotified(
                    service=notice.service,
                    generation=notice.generation,
                    is_ready=notice.is_ready,
                    is_stopping=notice.is_stopping,
                    status=notice.status,
                ),
                actor=UNASKED,
            )

    def tell_again(self) -> None:
        """Tell what was dropped meanwhile: every check whose state is not what the world holds."""
        for check, streak in self.scheduler.streaks().items():
            known = self._world.check(check)
            if streak.state is not known.state:
                binding = self._world.spec.checks[check]
                self._loop.tell(
                    CheckChanged(
                        check=check,
                        service=binding.service,
                        group=binding.group,
                        before=known.state,
                        after=streak.state,
                        reason=streak.last.reason if streak.last else "",
                        began_at=streak.since or self._clock.now(),
                    )
                )

    def _on_change(self, change: CheckChanged) -> None:
        self._loop.tell(change, actor="scheduler")

    def _adopt(self, instance: Instance) -> None:
        self.scheduler.service_started(
            instance.service,
            pid=instance.pid,
            start_ticks=instance.start_ticks,
            at=instance.started_at,
            is_adopted=True,
        )
        status = self._world.service(instance.service)
        if status.ready_at is not None and status.generation == instance.generation:
            self.scheduler.service_ready(instance.service, status.ready_at)
        if instance.last_ping_at is not None:
            self.scheduler.beat(instance.service, instance.last_ping_at)
        self._sampler.watch(instance.service, pid=instance.pid, start_ticks=instance.start_ticks)

    def _begin(self, started: ProcessStarted, at: datetime) -> None:
        if self._world.service(started.service).pid != started.pid:
            return  # it ended before this record could be taken
        self.scheduler.service_started(
            started.service, pid=started.pid, start_ticks=started.start_ticks, at=at
        )
        self._sampler.watch(started.service, pid=started.pid, start_ticks=started.start_ticks)


def _from_thread(events: asyncio.AbstractEventLoop, call: Any, *args: Any) -> None:
    """Call on the event loop from another thread; nothing happens if the loop has ended."""
    with contextlib.suppress(RuntimeError):
        events.call_soon_threadsafe(call, *args)
