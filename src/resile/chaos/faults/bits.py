"""A bit that is not what was written, as a worn disk gives it back."""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.faults.base import LastingFault
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import path_of
from resile.errors import ConfigError, OperationError, RejectedError

_AROUND_BYTES = 256
"""So much before and behind the bit is kept, too: what looks like our bit amid other content is not ours."""


class BitFlip(LastingFault):
    """One bit of a file is another, and the file's times tell nothing of it."""

    name = "disk.bitflip"
    text = "flip one bit of a file, and keep its times"
    target: ClassVar[TargetKind] = TargetKind.FILE
    parameters = (
        Parameter(
            name="offset",
            kind=Kind.COUNT,
            text="which byte; -1 is the middle of the file",
            default=-1,
            low=-1,
        ),
        Parameter(name="bit", kind=Kind.COUNT, text="which bit of it", default=0, high=7),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Keep the bytes as they are, and the times."""
        path = path_of(wish.target, host)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            raise ConfigError(f"{path} is no file with content", hint="name one")
        offset = wish.arguments["offset"]
        offset = status.st_size // 2 if offset < 0 else offset
        if offset >= status.st_size:
            raise ConfigError(f"{path} has {status.st_size} bytes only", hint="choose one of them")
        at = max(0, offset - _AROUND_BYTES)
        try:
            with _opened(str(path), os.O_RDWR) as fd:
                before = os.pread(fd, 2 * _AROUND_BYTES, at)
        except OSError as exc:
            raise RejectedError(f"{path} cannot be written: {exc.strerror}") from exc
        after = bytearray(before)
        after[offset - at] ^= 1 << wish.arguments["bit"]
        return {
            "file": str(path),
            "at": at,
            "before": before.hex(),
            "after": after.hex(),
            "atime_ns": status.st_atime_ns,
            "mtime_ns": status.st_mtime_ns,
        }

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Flip the bit."""
        _change(record.facts, "before", "after")
        if not _has(record.facts, "after"):
            raise OperationError(f"{record.facts['file']} was changed meanwhile")

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look at the bytes."""
        is_flipped = _has(record.facts, "after")
        return Proof(holds=is_flipped, detail=_WORDS[is_flipped])

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Write the byte as it was, unless somebody has mended or changed it since."""
        _change(record.facts, "after", "before")

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:  # noqa: ARG002 - the port's
        """Look at the bytes."""
        is_flipped = _has(record.facts, "after")
        return Proof(holds=not is_flipped, detail=_WORDS[is_flipped])


_WORDS = {True: "the bit is flipped", False: "the bit is not flipped"}


def _has(facts: Facts, which: str) -> bool:
    """Tell whether the file has these bytes there; False without a file."""
    try:
        with _opened(facts["file"], os.O_RDONLY) as fd:
            return _read(fd, facts) == str(facts[which])
    except OSError:
        return False


def _change(facts: Facts, old: str, new: str) -> None:
    """Replace the one byte that differs, if all bytes around it are the old ones, and keep the times.

    Who is cut before the times are put back leaves a file that looks changed; its bytes are told by what
    is around them, so it is undone all the same.

    Raises:
        OperationError: If the file cannot be written.
    """
    try:
        with _opened(facts["file"], os.O_RDWR) as fd:
            if _read(fd, facts) != facts[old]:
                return
            has_own_times = os.fstat(fd).st_mtime_ns == facts["mtime_ns"]
            for at, pair in enumerate(
                zip(*map(bytes.fromhex, (facts[old], facts[new])), strict=True)
            ):
                if pair[0] != pair[1]:
                    os.pwrite(fd, bytes([pair[1]]), facts["at"] + at)
            if has_own_times:
                os.utime(fd, ns=(facts["atime_ns"], facts["mtime_ns"]))
            os.fsync(fd)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise OperationError(f"{facts['file']} cannot be written: {exc.strerror}") from exc


def _read(fd: int, facts: Facts) -> str:
    return os.pread(fd, len(facts["before"]) // 2, facts["at"]).hex()


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
