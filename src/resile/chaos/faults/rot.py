"""A bit that rots on the disk: no time of the file tells of it, not even the one that nobody can set (st_ctime).

A write through the file system sets that time. So the bit is flipped through a mapping where the kernel keeps no times of
these (tmpfs), or on the block device itself where that is a file of its own (a loop device) and the user is root. What
has files that others use as well is never written to.

Source: Documentation/filesystems/fiemap.rst and include/uapi/linux/fiemap.h (the layout of the question).
"""

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resile.chaos.faults.bits import BitFlip
from resile.chaos.model import Facts, UndoRecord, Wish
from resile.chaos.port import Host
from resile.errors import OperationError, RejectedError

_LOOP_MAJOR: Final = 7
"""Documentation/admin-guide/devices.txt."""
_FIEMAP: Final = 0xC020660B
_FIEMAP_SYNC: Final = 1
_HEAD: Final = struct.Struct("=QQLLLL")
_EXTENT: Final = struct.Struct("=QQQQQLLLL")
_UNSTABLE: Final = 0x0002 | 0x0004 | 0x0008 | 0x0100 | 0x0200 | 0x0800
"""FIEMAP_EXTENT_ UNKNOWN, DELALLOC, ENCODED, NOT_ALIGNED, DATA_INLINE, UNWRITTEN: the byte is not there as it is."""


class Rot(BitFlip):
    """One bit of a file is another, and nothing tells of it."""

    name = "disk.rot"
    text = "flip one bit of a file below the file system: tmpfs, or as root on a loop device"

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Keep the bytes as they are, and find out how to get below the file system."""
        facts = super().plan(wish, host)
        path = Path(facts["file"])
        if not (is_tmpfs(path) or (os.geteuid() == 0 and loop_device(path))):
            raise RejectedError(
                f"{path} cannot rot: it is neither on tmpfs nor on a loop device of root's",
                hint="put it on a disk of its own, which may be a file: losetup(8)",
            )
        return facts

    def apply(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Flip the bit."""
        _rot(record.facts, "before", "after")

    def undo(self, record: UndoRecord, host: Host) -> None:  # noqa: ARG002 - the port's
        """Flip it back, unless somebody has mended or changed it since."""
        _rot(record.facts, "after", "before")


def is_tmpfs(path: Path) -> bool:
    """Tell whether a file is on tmpfs: the mount above it says so."""
    device = os.lstat(path).st_dev
    wanted = f" {os.major(device)}:{os.minor(device)} "
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    kinds = [line.partition(" - ")[2].split(" ", 1)[0] for line in lines if wanted in line]
    return bool(kinds) and all(kind == "tmpfs" for kind in kinds)


def loop_device(path: Path) -> str:
    """Give the loop device that a file is on; empty if it is on none."""
    device = os.lstat(path).st_dev
    if os.major(device) != _LOOP_MAJOR:
        return ""
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/7:{os.minor(device)}"))  # noqa: PTH119
    return f"/dev/{name}" if name.startswith("loop") else ""


def _rot(facts: Facts, old: str, new: str) -> None:
    """Replace the one byte that differs, if all bytes around it are the old ones.

    Raises:
        OperationError: If the file cannot be read or written.
    """
    before, after = bytes.fromhex(facts[old]), bytes.fromhex(facts[new])
    place = next(at for at, pair in enumerate(zip(before, after, strict=True)) if len({*pair}) > 1)
    try:
        with _opened(facts["file"]) as fd:
            if os.pread(fd, len(before), facts["at"]) != before:
                return
            offset, byte = facts["at"] + place, after[place : place + 1]
            path = Path(facts["file"])
            if is_tmpfs(path):
                _write_mapped(fd, offset, byte[0])
            else:
                _write_below(fd, loop_device(path), offset, byte)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise OperationError(f"{facts['file']} cannot rot: {exc.strerror}") from exc


def _write_mapped(fd: int, offset: int, byte: int) -> None:
    """Write a byte through a page that was read before: the kernel is not asked again, and sets no time.

    Raises:
        OperationError: If it did; the byte is as it was.
    """
    changed_ns = os.fstat(fd).st_ctime_ns
    with mmap.mmap(fd, 0) as mapped:
        before = mapped[offset]
        mapped[offset] = byte
        if os.fstat(fd).st_ctime_ns != changed_ns:
            mapped[offset] = before
            raise OperationError("this kernel tells of the bit that was flipped")


def _write_below(fd: int, device: str, offset: int, byte: bytes) -> None:
    """Write a byte of a file to its place on the device, and let the kernel forget what it read of the file."""
    if not device:
        raise OperationError("the file is on another disk than before")
    os.fsync(fd)
    place = _place_of(fd, offset)
    with _opened(device) as disk:
        os.pwrite(disk, byte, place)
        os.fsync(disk)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _place_of(fd: int, offset: int) -> int:
    """Ask where a byte of a file is on its device.

    Raises:
        OperationError: If it is nowhere, or not as it is.
    """
    question = bytearray(_HEAD.size + _EXTENT.size)
    _HEAD.pack_into(question, 0, offset, 1, _FIEMAP_SYNC, 0, 1, 0)
    fcntl.ioctl(fd, _FIEMAP, question)
    count = _HEAD.unpack_from(question)[3]
    logical, physical, _, _, _, flags, *_ = _EXTENT.unpack_from(question, _HEAD.size)
    if not count or flags & _UNSTABLE:
        raise OperationError("nobody knows where the byte is on the disk")
    return int(physical) + offset - int(logical)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
