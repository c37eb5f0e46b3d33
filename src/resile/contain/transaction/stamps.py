"""The moment at which a transaction began, in the kernel's own time for files.

A file whose ctime is the stamp's or later was changed since the beginning; nobody can set a ctime
but by setting the machine's clock, which is looked at too. Equal counts as changed. So that what
was changed just before the beginning does not look changed since, the stamp is taken after the
file clock has moved on: at most one tick (4 ms at 250 Hz), nothing on kernels with fine-grained
times. There a stamp that was asked for is never behind an earlier change.

Not seen: a write through a memory mapping that was already dirty when the transaction began
(the kernel stamps a page's first write only), and a clock that was set back and forth again
between two looks.

Source: https://docs.kernel.org/filesystems/multigrain-ts.html
"""

import os
from pathlib import Path

from resile.contain.transaction.model import ClockStamp
from resile.core.clock import SYSTEM_CLOCK, Clock, boot_offset_ns

SETBACK_NS_MAX = 10_000_000
"""Reading two clocks one after the other may be cut by the scheduler; nobody sets a clock by less
than this, because what keeps clocks right slews such differences."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STAMP_NAME = "stamp"
_TICKS_MAX = 40
_TICK_S = 0.0005
_SECOND_NS = 1_000_000_000


def take_stamp(folder: Path, *, clock: Clock = SYSTEM_CLOCK) -> ClockStamp:
    """Take the time from a file that is made in a folder; waits for one tick of the file clock.

    Raises:
        OSError: If the file cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(folder / _STAMP_NAME, flags, 0o600)
    try:
        first_ns = _touched(fd)
        for _ in range(_TICKS_MAX):
            now_ns = _touched(fd)
            if now_ns != first_ns:
                break
            clock.sleep(_TICK_S)
    finally:
        os.close(fd)
    return ClockStamp(file_time_ns=now_ns, offset_ns=boot_offset_ns(), boot_id=boot_id())


def clock_fault(before: ClockStamp, now: ClockStamp) -> str:
    """Say why file times of before and now cannot be compared; empty if they can."""
    if before.boot_id != now.boot_id:
        return "the machine was restarted since the beginning"
    if now.offset_ns < before.offset_ns - SETBACK_NS_MAX:
        return "the machine's clock was set back since the beginning"
    return ""


def threshold_ns(stamp: ClockStamp, *, is_coarse: bool) -> int:
    """Give the first ctime that counts as changed, on a file system with or without fractions."""
    return stamp.file_time_ns - (stamp.file_time_ns % _SECOND_NS if is_coarse else 0)


def is_whole_second(time_ns: int) -> bool:
    """Tell whether a file time has no fraction."""
    return time_ns % _SECOND_NS == 0


def boot_id() -> str:
    """Give the kernel's random name of this boot; empty where it is hidden."""
    try:
        return _BOOT_ID.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _touched(fd: int) -> int:
    os.fchmod(fd, 0o600)
    return os.fstat(fd).st_ctime_ns
