"""Measure what may run out: memory, descriptors and pools of services, and the machine's memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resile.contain.cgroups import CgroupTree, open_tree, remembered
from resile.core.vocabulary import Resource
from resile.daemon.foresight.plan import ForesightPlan
from resile.health import (
    ProcessSample,
    read_descriptors_max,
    read_memory,
)
from resile.health.prediction import Reading, Source
from resile.recover import service_target

LIMITS_EVERY = 12
"""Looks between two readings of a process's limits: a minute."""


class Gauges:
    """Not thread-safe.

    Args:
        plan: What there is.
    """

    def __init__(self, plan: ForesightPlan) -> None:
        self._plan = plan
        self._rss_max = {
            spec.service: int(spec.options["rss_max_bytes"])
            for spec in plan.checks
            if spec.service and "rss_max_bytes" in spec.options
        }
        self._groups: dict[str, str] = {}
        self._tree: CgroupTree | None = None
        self._descriptors_max: dict[int, tuple[int | None, int]] = {}
        self._looks = 0

    def began(self, service: str, cgroup: str) -> None:
        """Note the control group of a service's new process; empty if it has none."""
        self._groups[service] = cgroup

    def processes(self, samples: Mapping[str, ProcessSample]) -> Iterator[Reading]:
        """Measure every process that runs, and the machine."""
        self._looks += 1
        for service, sample in samples.items():
            yield from self._memory(service, sample)
            yield from self._descriptors(service, sample)
        known = {sample.pid for sample in samples.values()}
        self._descriptors_max = {p: m for p, m in self._descriptors_max.items() if p in known}
        memory = read_memory()
        source = Source(resource=Resource.MEMORY, target="system")
        used = memory.total_bytes - memory.available_bytes
        yield Reading(source=source, used=used, limit=memory.total_bytes)

    def _memory(self, service: str, sample: ProcessSample) -> Iterator[Reading]:
        limit = self._plan.memory_limits.get(service, 0)
        used = self._group_bytes(service) if limit else None
        target = service_target(service)
        if used is not None:
            source = Source(resource=Resource.MEMORY, target=target)
            yield Reading(source=source, used=used, limit=limit, epoch=f"{sample.pid} {limit}")
        if rss_max := self._rss_max.get(service, 0):
            source = Source(resource=Resource.MEMORY, target=target, detail="rss_max")
            yield Reading(
                source=source, used=sample.rss_bytes, limit=rss_max, epoch=str(sample.pid)
            )

    def _group_bytes(self, service: str) -> int | None:
        """Tell what the processes of a service hold that the kernel cannot take back at once."""
        group = self._groups.get(service)
        if self._tree is None and (layout := remembered(self._plan.state)) is not None:
            self._tree = open_tree(layout)
        if not group or self._tree is None:
            return None
        usage = self._tree.adopt(group).usage()
        if usage.memory_bytes is None:
            return None
        return max(0, usage.memory_bytes - (usage.memory_idle_bytes or 0))

    def _descriptors(self, service: str, sample: ProcessSample) -> Iterator[Reading]:
        most, read_at = self._descriptors_max.get(sample.pid, (None, -LIMITS_EVERY))
        if self._looks - read_at >= LIMITS_EVERY:
            most = read_descriptors_max(sample.pid)
            self._descriptors_max[sample.pid] = most, self._looks
        if most and sample.fds_count is not None:
            source = Source(resource=Resource.DESCRIPTORS, target=service_target(service))
            epoch = f"{sample.pid} {most}"
            yield Reading(source=source, used=sample.fds_count, limit=most, epoch=epoch)


def pools(rows: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
    """Read how full the bulkheads of services' guards are; of several processes, the fullest tells.

    Args:
        rows: As the table of guards gives them.
    """
    fullest: dict[Source, Reading] = {}
    for row in rows:
        if not row["service"] or not row["limit"]:
            continue
        target = service_target(row["service"])
        source = Source(resource=Resource.POOL, target=target, detail=row["guard"])
        reading = Reading(source=source, used=row["in_flight"], limit=row["limit"])
        if source not in fullest or fullest[source].share < reading.share:
            fullest[source] = reading
    yield from fullest.values()
