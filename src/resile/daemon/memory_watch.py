"""Watch memory: of each service that has a limit, and of the machine; and who was killed for want of it.

A look reads some small files for each such service; it is made once a second.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from resile.contain.cgroups import Cgroup
from resile.core.clock import Clock
from resile.core.events import MemoryPressureChanged
from resile.core.vocabulary import MemoryLevel
from resile.daemon.autopsy import OomKills
from resile.daemon.protocol import Exited
from resile.health import read_memory, read_pressure
from resile.health.memory import (
    OF_MACHINE,
    OF_SERVICE,
    MemoryReading,
    MemoryState,
    Thresholds,
    advance,
    reason_of,
)
from resile.recover import MACHINE_TARGET, ServiceStatus, World, service_target

LATELY_LOOKS: Final = 10
"""Looks back to which a kill explains an end: a process with much memory takes seconds to die."""
PRESSURE_PATH: Final = Path("/proc/pressure/memory")
VMSTAT_PATH: Final = Path("/proc/vmstat")


def read_machine(at: datetime) -> MemoryReading:
    """Look at the machine."""
    memory = read_memory()
    pressure = read_pressure(PRESSURE_PATH)
    return MemoryReading(
        at=at,
        used_bytes=memory.total_bytes - memory.available_bytes,
        limit_bytes=memory.total_bytes,
        stalled_share=pressure.full[0] if pressure else 0.0,
    )


def read_machine_oom_kills() -> int:
    """Count the processes that the kernel has killed for want of memory since the boot."""
    for line in VMSTAT_PATH.read_bytes().splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0


@dataclass(slots=True)
class _Watched:
    """A process of a service, and what its group has counted."""

    generation: int
    group: Cgroup | None
    oom_kills: deque[int] = field(default_factory=lambda: deque(maxlen=LATELY_LOOKS))


class MemoryWatch:
    """Looks once a second. Lives on the brain's event loop.

    Args:
        world: Tells what runs, and what was told of memory already.
        limits: In bytes, of each service that has one.
        group_of: Gives the group of a service's generation; None if it cannot be found.
        clock: Stamps.
        machine: Looks at the machine. Default: at this one.
        machine_oom_kills: Counts there. Default: here.
    """

    def __init__(
        self,
        world: World,
        *,
        limits: Mapping[str, int],
        group_of: Callable[[str, int], Cgroup | None],
        clock: Clock,
        machine: Callable[[datetime], MemoryReading] = read_machine,
        machine_oom_kills: Callable[[], int] = read_machine_oom_kills,
    ) -> None:
        self._world = world
        self._limits = limits
        self._group_of = group_of
        self._clock = clock
        self._machine = machine
        self._count_machine = machine_oom_kills
        self._watched: dict[str, _Watched] = {}
        self._states: dict[str, MemoryState] = {}
        self._machine_oom_kills: deque[int] = deque(maxlen=LATELY_LOOKS)

    def look(self) -> tuple[MemoryPressureChanged, ...]:
        """Look at everything, and give what has changed."""
        now = self._clock.now()
        self._machine_oom_kills.append(self._count_machine())
        changes = list(self._take(MACHINE_TARGET, self._machine(now), OF_MACHINE))
        for service, limit_bytes in self._limits.items():
            changes += self._look_at(service, limit_bytes, now)
        return tuple(changes)

    def kills(self, exited: Exited) -> OomKills:
        """Tell what was killed lately for want of memory, when a process has ended."""
        machine = self._count_machine() - min(self._machine_oom_kills, default=0)
        has_looked = bool(self._machine_oom_kills)
        if exited.oom_kills is None:
            return OomKills(machine=machine if has_looked else 0)
        watched = self._watched.get(exited.service)
        is_it = watched is not None and watched.generation == exited.generation
        before = min(watched.oom_kills, default=0) if watched is not None and is_it else 0
        return OomKills(group=exited.oom_kills - before, machine=machine if has_looked else 0)

    def _look_at(
        self, service: str, limit_bytes: int, now: datetime
    ) -> Iterator[MemoryPressureChanged]:
        status = self._world.service(service)
        if not status.is_alive:
            self._watched.pop(service, None)
            self._states.pop(service_target(service), None)
            return
        watched = self._watched.get(service)
        if watched is None or watched.generation != status.generation:
            watched = self._begin(service, status)
        if watched.group is None:
            return
        usage = watched.group.usage()
        watched.oom_kills.append(usage.oom_kills or 0)
        if usage.memory_bytes is None:
            return
        used_bytes = max(0, usage.memory_bytes - (usage.memory_idle_bytes or 0))
        reading = MemoryReading(at=now, used_bytes=used_bytes, limit_bytes=limit_bytes)
        yield from self._take(service_target(service), reading, OF_SERVICE)

    def _begin(self, service: str, status: ServiceStatus) -> _Watched:
        """Watch a new process; nobody of a group that is so young was killed before that."""
        group = self._group_of(service, status.generation)
        watched = self._watched[service] = _Watched(status.generation, group)
        self._states.pop(service_target(service), None)
        age = self._clock.now() - (status.started_at or self._clock.now())
        if age.total_seconds() < LATELY_LOOKS:
            watched.oom_kills.append(0)
        return watched

    def _take(
        self, target: str, reading: MemoryReading, thresholds: Thresholds
    ) -> Iterator[MemoryPressureChanged]:
        before = self._states.get(target) or MemoryState(level=self._told(target))
        after = self._states[target] = advance(before, reading, thresholds)
        if after.level is not before.level:
            yield MemoryPressureChanged(
                target=target,
                before=before.level,
                after=after.level,
                used_bytes=reading.used_bytes,
                limit_bytes=reading.limit_bytes,
                reason=reason_of(after.readings),
            )

    def _told(self, target: str) -> MemoryLevel:
        """Give what the journal says of a target: an earlier brain may have told it."""
        status = self._world.pressures.get(target)
        return MemoryLevel.CALM if status is None else status.level
