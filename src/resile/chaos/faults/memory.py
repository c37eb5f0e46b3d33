"""Memory that somebody else takes: within a service's limit, or of the machine."""

import os
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault
from resile.chaos.groups import joined
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import group_of, service_of
from resile.contain import Cgroup
from resile.core.units import format_size
from resile.errors import RejectedError
from resile.health import read_memory, read_stat

_KEPT_SHARE = 0.1
"""So much of the machine's memory is left to everybody else."""
_CHUNK_BYTES = 4 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROVEN_SHARE = 0.9
_REST_S = 60.0
CARRIER, SERVICE = "carrier", "service"
_SPARED = "-1000"
"""For oom_score_adj: the kernel never chooses this process (proc_pid_oom_score_adj(5))."""


class Pressure(CarriedFault):
    """A process that takes memory and uses it."""

    name = "memory.pressure"
    text = "take memory, of the service's own limit or of the whole machine"
    target: ClassVar[TargetKind] = TargetKind.GROUP
    parameters = (
        Parameter(name="size", kind=Kind.SIZE, text="how much is taken", low=1 << 20),
        Parameter(
            name="victim",
            kind=Kind.TEXT,
            text="whom the kernel kills at the limit; the service needs root",
            default=CARRIER,
            choices=(CARRIER, SERVICE),
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the group to take it in, and refuse to take what the machine needs."""
        if wish.arguments["victim"] == SERVICE and os.geteuid() != 0:
            raise RejectedError(
                "only root can spare a process from the kernel", hint="say victim=carrier"
            )
        memory = read_memory()
        left = memory.available_bytes - wish.arguments["size"]
        if left < memory.total_bytes * _KEPT_SHARE:
            raise RejectedError(
                f"only {format_size(memory.available_bytes)} are free on this machine",
                hint="take less",
            )
        group = _group(wish.target, host)
        kills = group.usage().oom_kills if group is not None else None
        return {"join": joined(wish.target, host), "oom_kills": kills}

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Start the process."""
        if not host.carriers.living(record.fault_id):
            host.carriers.start(record, join_files=record.facts["join"])

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it has the memory, or the kernel has killed for want of it."""
        wanted = record.arguments["size"]
        living = host.carriers.living(record.fault_id)
        stat = read_stat(living[0].pid) if living else None
        held = stat.rss_bytes if stat is not None else 0
        if held >= wanted * _PROVEN_SHARE:
            return Proof(holds=True, detail=f"{format_size(held)} are taken")
        if _kills(record, host) > (record.facts["oom_kills"] or 0):
            return Proof(holds=True, detail="the kernel killed for want of memory")
        return Proof(holds=False, detail=f"{format_size(held)} of {format_size(wanted)} are taken")


def press(carrying: Carrying) -> None:
    """Take the memory bit by bit, and keep it: the process is ended with its fault."""
    if carrying.record.arguments["victim"] == SERVICE:
        _spare_me()
    kept: list[bytearray] = []
    left = carrying.record.arguments["size"]
    while left > 0:
        chunk = bytearray(min(left, _CHUNK_BYTES))
        for at in range(0, len(chunk), _PAGE_BYTES):
            chunk[at] = 1  # Memory that nobody touched is none.
        kept.append(chunk)
        left -= len(chunk)
    while True:
        carrying.clock.sleep(_REST_S)


def _spare_me() -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, _SPARED.encode())
    finally:
        os.close(fd)


def _group(target: str, host: Host) -> Cgroup | None:
    return group_of(service_of(target, host), host) if target else None


def _kills(record: UndoRecord, host: Host) -> int:
    """Tell how often the kernel killed in the group; 0 if nobody counts."""
    if not record.target or record.facts["oom_kills"] is None:
        return 0
    group = _group(record.target, host)
    kills = group.usage().oom_kills if group is not None else None
    return kills or 0
