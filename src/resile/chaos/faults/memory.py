"""Memory that somebody else takes: within a service's limit, or of the machine."""

import os
from pathlib import Path
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault, about, processes, trouble
from resile.chaos.groups import joined
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import group_of, members_of, service_of
from resile.contain import Cgroup
from resile.core.process import Identity, is_alive
from resile.core.units import format_size
from resile.errors import OperationError, RejectedError
from resile.health import read_memory, read_stat

_KEPT_SHARE = 0.1
"""So much of the machine's memory is left to everybody else."""
_CHUNK_BYTES = 4 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROVEN_SHARE = 0.9
_LEAKING_SHARE = 0.05
"""What is taken slowly is proven by its beginning: the service may be mended before its end."""
_REST_S = 60.0
CARRIER, SERVICE = "carrier", "service"
_FIRST = 1000
"""For oom_score_adj: the kernel chooses this process before any other (proc_pid_oom_score_adj(5)). Who
may not write it, as a process of another user, has no such victim."""


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
            text="whom the kernel kills at the limit: the process that takes it, or the service",
            default=CARRIER,
            choices=(CARRIER, SERVICE),
        ),
        Parameter(
            name="within",
            kind=Kind.DURATION,
            text="how long taking it takes, as a leak does; 0: all at once",
            default=0.0,
            high=3600,
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the group to take it in, and refuse to take what the machine needs."""
        memory = read_memory()
        left = memory.available_bytes - wish.arguments["size"]
        if left < memory.total_bytes * _KEPT_SHARE:
            raise RejectedError(
                f"only {format_size(memory.available_bytes)} are free on this machine",
                hint="take less",
            )
        group = _group(wish.target, host)
        kills = group.usage().oom_kills if group is not None else None
        victims = members_of(wish.target, host) if wish.target and _wants_service(wish) else ()
        return about(
            victims,
            scores=[_score(who) for who in victims],
            join=joined(wish.target, host),
            oom_kills=kills,
        )

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Mark the victims, and start the process."""
        for who in processes(record.facts):
            _mark(who, _FIRST)
        if not host.carriers.living(record.fault_id):
            host.carriers.start(record, join_files=record.facts["join"])

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it has the memory, or the kernel has killed for want of it."""
        wanted = record.arguments["size"]
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        living = host.carriers.living(record.fault_id)
        stat = read_stat(living[0].pid) if living else None
        held = stat.rss_bytes if stat is not None else 0
        share = _LEAKING_SHARE if record.arguments["within"] else _PROVEN_SHARE
        if held >= wanted * share:
            return Proof(holds=True, detail=f"{format_size(held)} are taken")
        if _kills(record, host) > (record.facts["oom_kills"] or 0):
            return Proof(holds=True, detail="the kernel killed for want of memory")
        return Proof(holds=False, detail=f"{format_size(held)} of {format_size(wanted)} are taken")

    def undo(self, record: UndoRecord, host: Host) -> None:
        """End the process, and let the kernel choose as before."""
        host.carriers.kill(record.fault_id)
        for who, score in zip(processes(record.facts), record.facts["scores"], strict=True):
            _mark(who, score)

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether the process is gone, and no victim is marked."""
        for who, score in zip(processes(record.facts), record.facts["scores"], strict=True):
            if score != _FIRST and _score(who) == _FIRST:
                return Proof(holds=False, detail=f"process {who.pid} would be killed first")
        return super().verify_gone(record, host)


def press(carrying: Carrying) -> None:
    """Take the memory bit by bit, and keep it: the process is ended with its fault."""
    kept: list[bytearray] = []
    left = size = carrying.record.arguments["size"]
    within_s = carrying.record.arguments["within"]
    while left > 0:
        chunk = bytearray(min(left, _CHUNK_BYTES))
        carrying.clock.sleep(within_s * len(chunk) / size)
        for at in range(0, len(chunk), _PAGE_BYTES):
            chunk[at] = 1  # Memory that nobody touched is none.
        kept.append(chunk)
        left -= len(chunk)
    while True:
        carrying.clock.sleep(_REST_S)


def _wants_service(wish: Wish) -> bool:
    return bool(wish.arguments["victim"] == SERVICE)


def _score(who: Identity) -> int:
    """Tell how gladly the kernel kills a process; 0 for one that has ended."""
    if not is_alive(who):
        return 0
    try:
        return int(Path(f"/proc/{who.pid}/oom_score_adj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _mark(who: Identity, score: int) -> None:
    """Set that; nothing happens if the process has ended.

    Raises:
        OperationError: If the kernel refuses.
    """
    if not is_alive(who):
        return
    try:
        fd = os.open(f"/proc/{who.pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(score).encode())
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return
    except OSError as exc:
        raise OperationError(
            f"the kernel does not let us choose process {who.pid}: {exc.strerror}",
            hint="say victim=carrier",
        ) from exc


def _group(target: str, host: Host) -> Cgroup | None:
    return group_of(service_of(target, host), host) if target else None


def _kills(record: UndoRecord, host: Host) -> int:
    """Tell how often the kernel killed in the group; 0 if nobody counts."""
    if not record.target or record.facts["oom_kills"] is None:
        return 0
    group = _group(record.target, host)
    kills = group.usage().oom_kills if group is not None else None
    return kills or 0
