"""A folder that nobody can write any more, as a disk becomes that the kernel has seen errors on."""

import contextlib
import os
from pathlib import Path
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Privilege, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.mounting import cover, open_view, uncover
from resile.chaos.port import Host
from resile.chaos.targets import main_of, path_of
from resile.core.mounts import Mount, read_mounts
from resile.core.process import boot_id
from resile.errors import ConfigError, OperationError, RejectedError


class ReadOnly(LastingFault):
    """A read-only view of the folder lies over it. What is open already stays writable."""

    name = "disk.readonly"
    text = "let a folder be read-only (EROFS) for whoever opens a file in it"
    target: ClassVar[TargetKind] = TargetKind.FOLDER
    privilege: ClassVar[Privilege] = Privilege.ROOT
    parameters = (
        Parameter(
            name="seen_by",
            kind=Kind.TEXT,
            text="who has to see it for the proof, as service/NAME; empty: we",
            default="",
        ),
    )

    def obstacle(self, host: Host) -> str:
        """Tell whether anything may be mounted here."""
        if why := super().obstacle(host):
            return why
        try:
            os.close(open_view(Path("/proc")))
        except OSError as exc:
            return f"nothing can be mounted here: {exc.strerror}"
        return ""

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Look at the folder, and at what is mounted on it already."""
        folder = path_of(wish.target, host)
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder", hint="name one that is written")
        if host.ledger.folder.resolve().is_relative_to(folder):
            raise RejectedError(
                f"what ends the fault is written below {folder}", hint="name a folder beside it"
            )
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise RejectedError(f"{folder} is read-only already")
        seen_by = wish.arguments["seen_by"]
        pid = main_of(seen_by, host).pid if seen_by else os.getpid()
        before = [mount.number for mount in _mounts(folder)]
        return {"folder": str(folder), "before": before, "seen_by": pid if seen_by else 0}

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Lay the view over it, unless it is there."""
        if _ours(record):
            return
        try:
            cover(Path(record.facts["folder"]))
        except OSError as exc:
            raise OperationError(f"nothing can be mounted there: {exc.strerror}") from exc

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether the folder is read-only for whoever has to see it."""
        folder, pid = record.facts["folder"], record.facts["seen_by"]
        try:
            flags = os.statvfs(f"/proc/{pid}/root{folder}" if pid else folder).f_flag
        except OSError as exc:
            return Proof(holds=False, detail=f"{folder}: {exc.strerror}")
        is_so = bool(flags & os.ST_RDONLY)
        return Proof(holds=is_so, detail=f"{folder} is {'read-only' if is_so else 'writable'}")

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Take the view away."""
        for mount in _ours(record):
            try:
                uncover(mount.point, mount.number)
            except OSError as exc:
                raise OperationError(f"{mount.point} stays read-only: {exc.strerror}") from exc

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether nothing of ours is mounted there."""
        is_there = bool(_ours(record))
        word = "mounted over" if is_there else "as it was"
        return Proof(holds=not is_there, detail=f"{record.facts['folder']} is {word}")


def _ours(record: UndoRecord) -> list[Mount]:
    """List the views that were laid over it since; none of another boot."""
    if record.boot_id != boot_id():
        return []
    found = _mounts(Path(record.facts["folder"]))
    return [one for one in found if one.is_read_only and one.number not in record.facts["before"]]


def _mounts(folder: Path) -> list[Mount]:
    with contextlib.suppress(OSError):
        return [mount for mount in read_mounts() if mount.point == folder]
    return []
