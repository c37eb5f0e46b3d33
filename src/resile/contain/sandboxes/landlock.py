"""Which rights landlock takes away, as far as this kernel's version of it knows them.

Source: landlock(7); include/uapi/linux/landlock.h.
"""

from dataclasses import dataclass
from typing import Final

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE: Final = 0x1FF0
"""REMOVE_DIR to MAKE_SYM: bits 4 to 12."""
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

READ: Final = _EXECUTE | _READ_FILE | _READ_FOLDER
"""Only taken away where somebody says what may be read."""
_WRITE: Final = _WRITE_FILE | _REMOVE_AND_MAKE
CREATE_RULESET: Final = 444
"""The same number on every architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a version of landlock can take away.

    Args:
        write: All that changes files.
        scopes: Abstract sockets and signals of processes outside.
        size: Of the structure that tells it; a kernel refuses one with fields that it lacks.
    """

    write: int
    scopes: int
    size: int


def rights_of(abi: int) -> Rights:
    """Tell what a version can take away; REFER must be given back, or no file moves at all."""
    write = _WRITE
    for since, bit in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        write |= bit if abi >= since else 0
    is_scoped = abi >= 6
    return Rights(
        write=write,
        scopes=_ABSTRACT_SOCKETS | _SIGNALS if is_scoped else 0,
        size=24 if is_scoped else 16 if abi >= 4 else 8,
    )


def abi_of_kernel() -> int:
    """Ask the kernel for its version; 0 if landlock is off."""
    import ctypes  # Here, as it costs a millisecond that who reads facts from a file need not pay.

    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(CREATE_RULESET, None, 0, 1))
    return max(0, version)
