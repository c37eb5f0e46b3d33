"""Assemble the seccomp filter of a box: which system calls are refused, or told to the observer.

A filter is enforcement: the kernel applies it before the call is looked at, to the command and all
that it starts, for good. It sees numbers only; what a pointer points to is for the observer.

Source: seccomp(2); linux/Documentation/userspace-api/seccomp_filter.rst; the deny list is that of
Docker and Flatpak, without what namespaces and dropped capabilities refuse by themselves.
"""

import errno
import os
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from resile.contain.model import Network
from resile.errors import OperationError

_NEW: Final[Mapping[str, int]] = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
"""Calls that are younger than Linux 5.1 have one number on every architecture."""

_OLD: Final[Mapping[str, tuple[int, int]]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "personality": (135, 92),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "ioctl": (16, 29),
    "clone": (56, 220),
    "socket": (41, 198),
    "connect": (42, 203),
}
"""On x86_64, on aarch64."""

MACHINES: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = {
    "x86_64": (0xC000003E, {**{name: both[0] for name, both in _OLD.items()}, **_NEW}),
    "aarch64": (0xC00000B7, {**{name: both[1] for name, both in _OLD.items()}, **_NEW}),
}
"""The audit number and the system calls of each architecture (include/uapi/linux/audit.h)."""

QUIET: Final = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""Ordinary programs try these and go on without: refused as unknown to the kernel, never told."""
GUARDED: Final = (
    *("clone", "unshare", "personality", "ioctl", "socket", "connect"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid"),
    "setfsgid",
)
"""Refused with some arguments only."""
DENIED: Final = tuple(name for name in (*_OLD, *_NEW) if name not in {*QUIET, *GUARDED})
"""Refused whatever their arguments are."""

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_TELL: Final = 0x7FC00000
_ERRNO: Final = 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_OFFSET, _MACHINE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_X32_BIT: Final = 0x40000000
"""x32 has numbers of its own, which a list of the others would not catch."""
_NEW_NAMESPACES: Final = 0x7E020000
"""Every CLONE_NEW* but CLONE_NEWTIME, which `clone` does not know."""
_NEW_TIME: Final = 0x80
_FORBIDDEN_IOCTLS: Final = (0x5412, 0x541C)
"""TIOCSTI types into the terminal's input, TIOCLINUX pastes into the console's."""
_AF_VSOCK: Final = 40
"""Talks to the hypervisor; network namespaces do not cover it."""
_UNCHANGED: Final = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]


@cache
def filter_for(
    *,
    uid: int,
    gid: int,
    network: Network,
    is_observed: bool,
    machine: str = "",
) -> bytes:
    """Give the filter as the kernel wants it.

    Args:
        uid: Who the command is: to become that again is no offence.
        gid: Its group.
        network: With none, `connect` is told to the observer.
        is_observed: What is refused is told to the observer first; it answers.
        machine: As `uname -m` says. Default: this one.

    Raises:
        OperationError: If this architecture's numbers are not known.
    """
    name = machine or os.uname().machine
    if name not in MACHINES:
        raise OperationError(
            f"no seccomp filter for {name}", hint="boxes are made on x86_64 and aarch64"
        )
    audit, numbers = MACHINES[name]
    refuse = _TELL if is_observed else _ERRNO | errno.EPERM
    code: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE_OFFSET),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if name == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for call in QUIET:
        code += _when(numbers[call], [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    for call in DENIED:
        code += _when(numbers[call], [(_RETURN, 0, 0, refuse)])
    for call, block in _guarded(uid, gid, network, refuse, is_observed=is_observed):
        code += _when(numbers[call], block)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _when(number: int, block: list[Instruction]) -> list[Instruction]:
    """Run a block, which must return, for one system call."""
    return [(_EQUAL, 0, len(block), number), *block]


def _guarded(
    uid: int, gid: int, network: Network, refuse: int, *, is_observed: bool
) -> Iterator[tuple[str, list[Instruction]]]:
    """Give what is looked at for each call whose arguments decide."""
    yield "clone", _refuse_bits(_NEW_NAMESPACES, refuse)
    yield "unshare", _refuse_bits(_NEW_NAMESPACES | _NEW_TIME, refuse)
    yield "personality", _only((0, _UNCHANGED), 1, refuse)
    yield "ioctl", _refuse_values(1, _FORBIDDEN_IOCTLS, refuse)
    if network is Network.NONE:
        yield "socket", _refuse_values(0, (_AF_VSOCK,), refuse)
        if is_observed:
            yield "connect", [(_RETURN, 0, 0, refuse)]
    for own, letter in ((uid, "u"), (gid, "g")):
        for call, count in (("set{}id", 1), ("setre{}id", 2), ("setres{}id", 3), ("setfs{}id", 1)):
            yield call.format(letter), _only((own, _UNCHANGED), count, refuse)


def _refuse_bits(bits: int, refuse: int) -> list[Instruction]:
    """Refuse a call whose first argument has any of these bits."""
    return [_load(0), (_HAS_BITS, 0, 1, bits), (_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)]


def _refuse_values(index: int, values: tuple[int, ...], refuse: int) -> list[Instruction]:
    """Refuse a call one of whose arguments has one of these values."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_load(index), *tests, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]


def _only(values: tuple[int, int], count: int, refuse: int) -> list[Instruction]:
    """Allow a call only if each of its first arguments is one of two values."""
    code: list[Instruction] = []
    for index in range(count):
        first, second = values
        code += [_load(index), (_EQUAL, 2, 0, first), (_EQUAL, 1, 0, second)]
        code.append((_RETURN, 0, 0, refuse))
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _load(index: int) -> Instruction:
    """Load the low half of an argument: all that these calls look at. Both machines are little."""
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index)
