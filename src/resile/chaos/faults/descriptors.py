"""A process that cannot open anything more: EMFILE, by a lower limit and not by thousands of files."""

import os
import resource
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault, about, processes
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import main_of
from resile.core.process import Identity, is_alive
from resile.errors import OperationError, RejectedError


class Exhaust(LastingFault):
    """The soft limit of descriptors is lowered to what is open."""

    name = "descriptors.exhaust"
    text = "let the main process open no further file or connection (EMFILE)"
    target: ClassVar[TargetKind] = TargetKind.PROCESS
    parameters = (
        Parameter(
            name="left", kind=Kind.COUNT, text="how many it may still open", default=0, high=1e6
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Look at what is open, and at the limit."""
        who = main_of(wish.target, host)
        try:
            soft, _ = resource.prlimit(who.pid, resource.RLIMIT_NOFILE)
            taken = {int(name) for name in os.listdir(f"/proc/{who.pid}/fd")}  # noqa: PTH208
        except PermissionError as exc:
            raise RejectedError(
                f"process {who.pid} belongs to another user", hint="run the command as that user"
            ) from exc
        except OSError as exc:
            raise RejectedError(f"process {who.pid} has ended") from exc
        during = min(soft, _limit(taken, wish.arguments["left"]))
        return about([who], before=soft, during=during)

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Lower the limit."""
        (who,) = processes(record.facts)
        if not _set_limit(who, record.facts["during"]):
            raise OperationError(f"process {who.pid} has ended")

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether the limit is as low."""
        (who,) = processes(record.facts)
        limit = _limit_of(who)
        return Proof(
            holds=limit == record.facts["during"],
            detail=f"process {who.pid} " + ("has ended" if limit is None else f"may have {limit}"),
        )

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Raise it to what it was, unless somebody else has changed it."""
        (who,) = processes(record.facts)
        if _limit_of(who) == record.facts["during"]:
            _set_limit(who, record.facts["before"])

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it is what it was."""
        (who,) = processes(record.facts)
        limit = _limit_of(who)
        is_ours = limit == record.facts["during"] != record.facts["before"]
        return Proof(holds=not is_ours, detail=f"process {who.pid} may have {limit} descriptors")


def _limit(taken: set[int], left: int) -> int:
    """Give the limit below which so many numbers are free: the kernel takes the lowest (open(2))."""
    number = 0
    while True:
        if number not in taken:
            if left == 0:
                return number
            left -= 1
        number += 1


def _limit_of(who: Identity) -> int | None:
    if not is_alive(who):
        return None
    try:
        return resource.prlimit(who.pid, resource.RLIMIT_NOFILE)[0]
    except OSError:
        return None


def _set_limit(who: Identity, soft: int) -> bool:
    """Set the soft limit; False if the process has ended.

    Raises:
        OperationError: If the kernel refuses.
    """
    if not is_alive(who):
        return False
    try:
        _, hard = resource.prlimit(who.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(who.pid, resource.RLIMIT_NOFILE, (soft, hard))
    except ProcessLookupError:
        return False
    except (OSError, ValueError) as exc:
        raise OperationError(f"the limit of process {who.pid} could not be set: {exc}") from exc
    return True
