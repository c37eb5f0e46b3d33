"""Processes that end, or hang: signals, and nothing else.

An end cannot be taken back: whoever supervises the process starts it again. A hang is SIGSTOP to every
process of the target, and SIGCONT takes it back.
"""

import contextlib
import resource
import signal
from typing import ClassVar

from resile.chaos.faults.base import LastingFault, about, processes
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import main_of, members_of
from resile.core.process import is_alive, send_signal
from resile.errors import OperationError
from resile.health import read_stat

_STOPPED = ("T", "t")


class _Signal(LastingFault):
    """Sends one signal to the main process."""

    target: ClassVar[TargetKind] = TargetKind.PROCESS
    is_momentary: ClassVar[bool] = True
    number: ClassVar[int]

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the process."""
        return about([main_of(wish.target, host)])

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Send the signal; to nobody else if the process has ended."""
        _send(record, self.number)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it has ended."""
        (who,) = processes(record.facts)
        if is_alive(who):
            return Proof(holds=False, detail=f"process {who.pid} lives")
        return Proof(holds=True, detail=f"process {who.pid} has ended")

    def undo(self, record: UndoRecord, host: Host) -> None:
        """Do nothing: the end of a process cannot be taken back."""

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Nothing of ours is left."""
        return Proof(holds=True, detail="it was over at once")


class Kill(_Signal):
    """SIGKILL, as the kernel or an operator sends it."""

    name = "process.kill"
    text = "kill the main process at once (SIGKILL)"
    number = signal.SIGKILL


class Stop(_Signal):
    """SIGTERM, which a well-made program answers by ending in order."""

    name = "process.stop"
    text = "ask the main process to end (SIGTERM)"
    number = signal.SIGTERM


class Segv(_Signal):
    """SIGSEGV, as a mistake with memory gives it."""

    name = "process.segv"
    text = "let the main process end by a memory violation (SIGSEGV)"
    number = signal.SIGSEGV

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Send the signal. No core is written: it would stay in the folder of whoever is drilled."""
        for who in processes(record.facts):
            with contextlib.suppress(
                OSError
            ):  # It has ended, or another user's is not asked for it.
                _, hard = resource.prlimit(who.pid, resource.RLIMIT_CORE)
                resource.prlimit(who.pid, resource.RLIMIT_CORE, (0, hard))
        super().apply(record, host)


class Hang(LastingFault):
    """Every process of the target stands still, and holds what it has."""

    name = "process.hang"
    text = "let every process of the target stand still (SIGSTOP)"
    target: ClassVar[TargetKind] = TargetKind.PROCESS

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the processes; those that are stopped already are not ours to wake."""
        found = [who for who in members_of(wish.target, host) if not _is_stopped(who.pid)]
        return about(found)

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Stop each."""
        _send(record, signal.SIGSTOP)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether each that lives stands still."""
        living = [who for who in processes(record.facts) if is_alive(who)]
        if not living:
            return Proof(holds=False, detail="none of the processes lives")
        going = [who.pid for who in living if not _is_stopped(who.pid)]
        if going:
            return Proof(holds=False, detail=f"process {going[0]} runs")
        return Proof(holds=True, detail=f"{len(living)} processes stand still")

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Let each go on."""
        _send(record, signal.SIGCONT)

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether none stands still."""
        for who in processes(record.facts):
            if is_alive(who) and _is_stopped(who.pid):
                return Proof(holds=False, detail=f"process {who.pid} stands still")
        return Proof(holds=True, detail="no process stands still")


def _send(record: UndoRecord, number: int) -> None:
    for who in processes(record.facts):
        try:
            send_signal(who, number)
        except PermissionError as exc:
            raise OperationError(
                f"process {who.pid} belongs to another user", hint="run the command as that user"
            ) from exc


def _is_stopped(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.state in _STOPPED
