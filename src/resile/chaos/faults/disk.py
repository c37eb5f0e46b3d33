"""A disk without room."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import path_of
from resile.core.files import PRIVATE_FILE_MODE
from resile.core.units import format_size
from resile.errors import ConfigError, OperationError, RejectedError

_BALLAST_PREFIX = ".resile-chaos-"
_FULL_SLACK_BYTES = 1 << 20
"""File systems keep some blocks to themselves that their counters show as free."""
_WRITES = (1 << 20, 1 << 16, 1 << 12)
"""What is left after the big piece is filled with ever smaller ones."""


class Full(LastingFault):
    """A file takes what is free on the file system of a folder."""

    name = "disk.full"
    text = "take the free room of the folder's file system with one file (ENOSPC)"
    target: ClassVar[TargetKind] = TargetKind.FOLDER
    parameters = (
        Parameter(name="left", kind=Kind.SIZE, text="how much room is left", default=0),
        Parameter(
            name="most",
            kind=Kind.SIZE,
            text="the largest file: on a disk with more free room it is refused",
            default=1 << 30,
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Look how much is free."""
        folder = path_of(wish.target, host)
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder", hint="name the folder that shall be full")
        size = max(0, _free_bytes(folder) - wish.arguments["left"])
        if size > wish.arguments["most"]:
            raise RejectedError(
                f"{format_size(size)} are to be taken on the disk of {folder}, more than "
                f"{format_size(wish.arguments['most'])}",
                hint="name a folder on a small file system, or say how much with most=20GiB",
            )
        name = f"{_BALLAST_PREFIX}{host.chance.getrandbits(64):016x}"
        return {"file": str(folder / name), "size": size}

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Write the file: in one piece, then the rest."""
        try:
            with _opened(record.facts["file"]) as fd:
                _take(fd, record.facts["size"])
                if record.arguments["left"] == 0:
                    _fill(fd, record.arguments["most"])
        except OSError as exc:
            raise OperationError(f"the disk could not be filled: {exc.strerror}") from exc

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look how much is free."""
        file = Path(record.facts["file"])
        free = _free_bytes(file.parent)
        is_full = free <= record.arguments["left"] + _FULL_SLACK_BYTES
        return Proof(holds=is_full and file.exists(), detail=f"{format_size(free)} are free")

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Remove the file."""
        try:
            Path(record.facts["file"]).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as exc:
            raise OperationError(f"{exc.filename} cannot be removed: {exc.strerror}") from exc

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look whether it is gone."""
        file = record.facts["file"]
        is_there = os.path.lexists(file)
        return Proof(holds=not is_there, detail=f"{file} is {'there' if is_there else 'gone'}")


def _free_bytes(folder: Path) -> int:
    """Tell what this user may still write; root may use what is set aside."""
    found = os.statvfs(folder)
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return blocks * found.f_frsize


def _take(fd: int, size: int) -> None:
    if size == 0:
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Less was free than the counters said: the small writes take it.


def _fill(fd: int, most: int) -> None:
    """Write until nothing more fits."""
    at = os.fstat(fd).st_size
    for size in _WRITES:
        data = bytes(size)
        with contextlib.suppress(OSError):
            while at < most + _FULL_SLACK_BYTES and (count := os.pwrite(fd, data, at)):
                at += count


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, PRIVATE_FILE_MODE)
    try:
        yield fd
    finally:
        os.close(fd)
