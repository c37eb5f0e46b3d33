"""A wall clock that jumps. The kernel keeps one for the whole machine, so that it is turned for all.

A time namespace has other monotonic clocks only, and what a process asks the wall clock is answered without
a system call that could be tampered with. For one service alone, it has to be started with libfaketime.
"""

import os
import re
from pathlib import Path
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import OUTSIDE_HINT
from resile.core.clock import boot_offset_ns, set_boot_offset
from resile.core.process import boot_id
from resile.errors import OperationError, RejectedError

_SET_TIME = 25
"""CAP_SYS_TIME, linux/capability.h."""
_SIGNS = {"forward": 1, "back": -1}


class Step(LastingFault):
    """The wall clock is turned, and turned back by what has passed meanwhile."""

    name = "clock.step"
    text = "turn the wall clock of the whole machine"
    target: ClassVar[TargetKind] = TargetKind.GROUP
    privilege: ClassVar[Privilege] = Privilege.ROOT
    parameters = (
        Parameter(
            name="by",
            kind=Kind.DURATION,
            text="how far",
            default=3600.0,
            low=0.01,
            high=10 * 366 * 86400.0,
        ),
        Parameter(
            name="direction",
            kind=Kind.TEXT,
            text="into the future or the past",
            default="forward",
            choices=tuple(_SIGNS),
        ),
    )

    def obstacle(self, host: Host) -> str:
        """Tell whether the clock may be turned here, which others hang on, too."""
        if not host.is_outside_allowed:
            return f"the clock is the whole machine's: {OUTSIDE_HINT}"
        if not _capabilities(os.getpid()) >> _SET_TIME & 1:
            return "only root can turn the clock, and not in most containers"
        return ""

    def plan(self, wish: Wish, host: Host) -> Facts:  # noqa: ARG002 - the port's
        """Keep how the clock stands to the time since boot."""
        if wish.target:
            raise RejectedError(
                "the kernel keeps one wall clock for all processes",
                hint="name no target, or start the service with libfaketime",
            )
        step_ns = round(wish.arguments["by"] * 1e9) * _SIGNS[wish.arguments["direction"]]
        return {"before_ns": boot_offset_ns(), "step_ns": step_ns}

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Turn it."""
        _turn(record.facts["before_ns"] + record.facts["step_ns"])

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it stands elsewhere."""
        return Proof(holds=_is_turned(record), detail=_words(record))

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Turn it back, unless somebody has set it right."""
        if _is_turned(record):
            _turn(record.facts["before_ns"])

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it stands where it would."""
        return Proof(holds=not _is_turned(record), detail=_words(record))


def _is_turned(record: UndoRecord) -> bool:
    """Tell whether it stands nearer to where it was turned than to where it was; never in another boot."""
    if record.boot_id != boot_id():
        return False
    before_ns, step_ns = record.facts["before_ns"], record.facts["step_ns"]
    off_ns = boot_offset_ns() - before_ns
    return bool(abs(off_ns - step_ns) < abs(off_ns))


def _words(record: UndoRecord) -> str:
    off_s = (boot_offset_ns() - record.facts["before_ns"]) / 1e9
    return f"the clock is {off_s:+.3f} s from where it would be"


def _turn(offset_ns: int) -> None:
    try:
        set_boot_offset(offset_ns)
    except OSError as exc:
        raise OperationError(f"the clock cannot be turned: {exc.strerror}") from exc


def _capabilities(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", text, re.MULTILINE)
    return int(found[1], 16) if found else 0
