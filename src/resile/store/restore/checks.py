"""Looks at each entry once more before anything is made of it: a store may be forged."""

from resile.store.model import Entry, EntryType

_MODE_MAX = 0o7777
_OWNER_MAX = 2**32 - 2
"""The number above means "leave it as it is" to the kernel."""
_SIGNED_MAX = 2**63 - 1
_TIME_MAX = 2**63 * 10**9
"""The kernel counts seconds in 64 bits; ext4 knows times until 2446, where nanoseconds need more."""
_RDEV_MAX = 2**64 - 1


def fault_of(entry: Entry) -> str:
    """Tell why an entry cannot be made; empty if it can."""
    name = entry.name
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        return f"{name!r} is no name"
    if not (
        0 <= entry.mode <= _MODE_MAX
        and 0 <= entry.uid <= _OWNER_MAX
        and 0 <= entry.gid <= _OWNER_MAX
        and 0 <= entry.size <= _SIGNED_MAX
        and -_TIME_MAX <= entry.mtime_ns < _TIME_MAX
        and 0 <= entry.rdev <= _RDEV_MAX
    ):
        return "it has a mode, owner, size, time or device that cannot be"
    if entry.type is EntryType.LINK and (not entry.target or b"\0" in entry.target):
        return "it is a link that points nowhere"
    if entry.extents is not None and not _are_in_order(entry.extents, entry.size):
        return "its holes make no sense"
    return ""


def _are_in_order(extents: tuple[tuple[int, int], ...], size: int) -> bool:
    end = 0
    for start, length in extents:
        if start < end or length < 0:
            return False
        end = start + length
    return end <= size
