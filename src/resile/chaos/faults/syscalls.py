"""System calls of a running process that fail, or take long: strace injects that, and nothing else of it is used.

strace dies with its carrier, however that ends, and then the kernel lets the traced processes go on.

Source: strace(1), "Tampering".
"""

import os
import re
import shutil
from pathlib import Path
from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault, about, processes, trouble
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import members_of
from resile.chaos.tracing import why_untraceable
from resile.core.process import Identity, is_alive
from resile.core.spawning import Spawner, SpawnSpec
from resile.errors import ConfigError, RejectedError

STRACE: Final = "strace"
TTL_S_MAX: Final = 300.0
"""What is traced is written down, some hundred bytes for each call."""
_LOOK_S: Final = 0.1
_TRACE_BYTES_MAX: Final = 1 << 20
"""So much of it is read for the proof, which is in the first line mostly."""
_ERRORS: Final = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EINTR", "EAGAIN", "ENOMEM")
_CALL = Parameter(
    name="call",
    kind=Kind.TEXT,
    text="which system calls, with commas between",
    default="fsync,fdatasync",
)
_PATH = Parameter(
    name="path",
    kind=Kind.TEXT,
    text="only calls on this file or folder, as an absolute path; empty: all",
    default="",
)


class _Traced(CarriedFault):
    """System calls are tampered with."""

    target: ClassVar[TargetKind] = TargetKind.PROCESS
    name: ClassVar[str]
    mark: ClassVar[bytes]
    """What strace writes beside a call that it tampered with."""

    def obstacle(self, host: Host) -> str:  # noqa: ARG002 - the port's
        """Tell whether there is a strace that may look into other processes."""
        if shutil.which(STRACE) is None:
            return "strace is not installed"
        return why_untraceable()

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the processes, which nobody may trace already."""
        arguments = wish.arguments
        if not re.fullmatch(r"[a-z0-9_]+(,[a-z0-9_]+)*", arguments["call"]):
            raise ConfigError(
                f"{arguments['call']!r} names no system call", hint="write fsync,write"
            )
        if arguments["path"] and not arguments["path"].startswith("/"):
            raise ConfigError("strace knows no relative path", hint="write the whole path")
        if wish.ttl_s > TTL_S_MAX:
            raise ConfigError(
                f"{self.name} may last for {TTL_S_MAX:g} s", hint="what is traced is written down"
            )
        found = members_of(wish.target, host)
        for who in found:
            if tracer_of(who):
                raise RejectedError(f"process {who.pid} is traced already by {tracer_of(who)}")
        return about(found)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether any call was tampered with."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        try:
            with _trace_file(host.ledger.folder, record).open("rb") as file:
                count = file.read(_TRACE_BYTES_MAX).count(self.mark)
        except FileNotFoundError:
            return Proof(holds=False, detail="nothing is traced yet")
        return Proof(holds=count > 0, detail=f"{count} calls were hit")

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether nobody traces the processes."""
        for who in processes(record.facts):
            if (tracer := tracer_of(who)) and _command(tracer) == STRACE:
                return Proof(holds=False, detail=f"process {who.pid} is traced still")
        return super().verify_gone(record, host)


class Errno(_Traced):
    """The calls fail."""

    name = "disk.errno"
    text = "let system calls of the target fail: fsync, write, openat..."
    mark = b"(INJECTED)"
    parameters = (
        Parameter(
            name="error", kind=Kind.TEXT, text="with this error", default="EIO", choices=_ERRORS
        ),
        _CALL,
        _PATH,
    )


class Delay(_Traced):
    """The calls take long."""

    name = "disk.delay"
    text = "let system calls of the target take long: fsync, write, openat..."
    mark = b"(DELAYED)"
    parameters = (
        Parameter(name="latency", kind=Kind.DURATION, text="how much longer", low=0.001, high=60),
        _CALL,
        _PATH,
    )


def begin(carrying: Carrying) -> None:
    """Start strace; this process must have one thread.

    Raises:
        SpawnError: If that is not possible.
    """
    spec = SpawnSpec(
        argv=_argv(carrying.record, carrying.ledger.folder),
        env=dict(os.environ),
        cwd="/",
        dies_with_parent=True,
    )
    Spawner().launch(spec).finish()


def trace(carrying: Carrying) -> None:
    """Wait until strace ends, which it does not by itself."""
    spawner = Spawner()
    while spawner.reap() is None:
        carrying.clock.sleep(_LOOK_S)
    carrying.say({"error": "strace ended: it may not trace, or knows no such call"})


def _argv(record: UndoRecord, folder: Path) -> tuple[str, ...]:
    arguments = record.arguments
    calls = arguments["call"]
    if record.fault == Errno.name:
        tamper = f"error={arguments['error']}"
    else:
        tamper = f"delay_enter={round(arguments['latency'] * 1e6)}"
    pids = [word for who in processes(record.facts) for word in ("-p", str(who.pid))]
    path = ["-P", arguments["path"]] if arguments["path"] else []
    return (
        *(STRACE, "-f", "-qq", "-o", str(_trace_file(folder, record))),
        *("-e", f"trace={calls}", "-e", f"inject={calls}:{tamper}", *path, *pids),
    )


def _trace_file(folder: Path, record: UndoRecord) -> Path:
    return folder / f"{record.fault_id}.trace"


def tracer_of(who: Identity) -> int:
    """Tell who traces a process; 0 if nobody does."""
    if not is_alive(who):
        return 0
    try:
        text = Path(f"/proc/{who.pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^TracerPid:\s*(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
