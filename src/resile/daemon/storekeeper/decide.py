"""When each job is due. Pure: times are given, nothing is touched.

A job has one time at which it is due next, so that whatever was missed (the machine slept, a long
snapshot) is done once and not made up for. What has been due for longest goes first: no job starves.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.daemon.storekeeper.model import (
    REPLICA,
    STORE,
    Ended,
    Job,
    JobKind,
    Memory,
    Pass,
    Plan,
)

FIRST_S, APART_S = 1.0, 0.5
"""The first snapshots come so soon after the start, one after the other: services start then, too."""
SCRUB_FIRST_S = 2.0
RETRY_FIRST_S, RETRY_MAX_S = 5.0, 600.0
COLLECT_EVERY_S = 86_400.0
COLLECT_FIRST_S = 300.0
"""A daemon that is started again and again does not collect each time."""
NEVER_S = float("inf")
_KINDS_OF: Mapping[Part, frozenset[JobKind]] = {
    Part.SNAPSHOTS: frozenset({JobKind.SNAPSHOT}),
    Part.SCRUB: frozenset({JobKind.SCRUB, JobKind.LIVE}),
}
"""The jobs of each part. What somebody asks for by hand is done all the same."""


def first_times(plan: Plan, memory: Memory, *, now_s: float, now: datetime) -> dict[Job, float]:
    """Say when each job is due for the first time in this life.

    Args:
        plan: What is declared.
        memory: What earlier lives did.
        now_s: Monotonic.
        now: Wall-clock; one that went back is taken as if no time had passed.
    """
    times: dict[Job, float] = {}
    for index, name in enumerate(plan.folders):
        times[Job(kind=JobKind.SNAPSHOT, name=name)] = now_s + FIRST_S + index * APART_S
    if plan.replica and plan.is_replicated:
        times[Job(kind=JobKind.REPLICATE)] = now_s + FIRST_S
    collect_in_s = _rest_s(memory.collected_at, COLLECT_EVERY_S, now)
    times[Job(kind=JobKind.COLLECT)] = now_s + max(COLLECT_FIRST_S, collect_in_s)
    for job, key in passes(plan).items():
        due_in_s = pass_due_in_s(plan, job, memory.passes.get(key, Pass()), now)
        times[job] = now_s + max(SCRUB_FIRST_S, due_in_s)
    return times


def passes(plan: Plan) -> dict[Job, str]:
    """List the jobs that go through something piece by piece, with the key of what is remembered."""
    found = {Job(kind=JobKind.SCRUB, name=STORE): STORE}
    if plan.replica_folder:
        found[Job(kind=JobKind.SCRUB, name=REPLICA)] = REPLICA
    for name, folder in plan.folders.items():
        if folder.is_protected:
            found[Job(kind=JobKind.LIVE, name=name)] = f"live/{name}"
    return found


def pass_due_in_s(plan: Plan, job: Job, one: Pass, now: datetime) -> float:
    """Say when a pass goes on, or the next one begins: from now, 0 or more."""
    is_live = job.kind is JobKind.LIVE
    every_s = plan.folders[job.name].compare_every_s if is_live else plan.scrub_every_s
    return _rest_s(one.began_at, every_s, now) if one.is_over else 0.0


def next_time(plan: Plan, job: Job, ended: Ended, *, rest_s: float = 0.0) -> float:
    """Say when a job that has ended is due again, monotonic.

    Args:
        plan: What is declared.
        job: Which.
        ended: How it ended.
        rest_s: After a pass: until the next one begins.
    """
    if ended.failures:
        retry_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(ended.failures - 1, 20))
        if job.kind is JobKind.SNAPSHOT:
            retry_s = min(retry_s, plan.folders[job.name].every_s)
        return ended.ended_s + retry_s
    if job.kind is JobKind.SNAPSHOT:
        return ended.began_s + plan.folders[job.name].every_s
    if job.kind is JobKind.COLLECT:
        return ended.ended_s + COLLECT_EVERY_S
    if job.kind is JobKind.REPLICATE:
        return NEVER_S
    if ended.is_pass_over:
        return ended.ended_s + max(rest_s, SCRUB_FIRST_S)
    return max(ended.ended_s, ended.began_s + ended.size_bytes / plan.scrub_bytes_per_s)


def follow(plan: Plan, job: Job) -> Job | None:
    """Name the job that is due at once when another has gone well; None if none is."""
    if job.kind in (JobKind.SNAPSHOT, JobKind.COLLECT) and plan.replica and plan.is_replicated:
        return Job(kind=JobKind.REPLICATE)
    return None


def off_kinds(switches: Switches, now: datetime) -> frozenset[JobKind]:
    """Tell which jobs a person switched off."""
    parts = {off.part for off in switches.active(now)}
    return frozenset(kind for part in parts for kind in _KINDS_OF.get(part, ()))


def pick(times: Mapping[Job, float], now_s: float, *, off: Collection[JobKind] = ()) -> Job | None:
    """Give the job that has been due for longest and is not off; None if none is due."""
    due = [job for job, at_s in times.items() if at_s <= now_s and job.kind not in off]
    return min(due, key=lambda job: (times[job], job.kind.value, job.name), default=None)


def _rest_s(last_at: datetime | None, every_s: float, now: datetime) -> float:
    """Say how much of a period is left."""
    if last_at is None:
        return 0.0
    passed_s = max(0.0, (now - last_at).total_seconds())
    return max(0.0, every_s - passed_s)
