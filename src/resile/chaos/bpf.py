"""Small programs in the kernel for the sockets of one control group.

Each belongs to a link, which the kernel removes when its last descriptor is closed: nothing is left of it,
however the process ends that has it.

Source: bpf(2); Documentation/bpf/standardization/instruction-set.rst; Documentation/bpf/libbpf/program_types.rst.
"""

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from resile.errors import OperationError

_SYSCALLS: Final = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD, _LINK_CREATE = 0, 1, 5, 28
_ARRAY: Final = 2
_MAP_LAYOUT: Final = struct.Struct("<IIIII")
_LOOKUP_LAYOUT: Final = struct.Struct("<IIQQQ")
_LOAD_LAYOUT: Final = struct.Struct("<IIQQIIQII16sII")
_LINK_LAYOUT: Final = struct.Struct("<IIII")
_PACKETS, _ADDRESSES = 8, 18
"""Kinds of program: on each packet (CGROUP_SKB), and on each address that is given (CGROUP_SOCK_ADDR)."""
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Hook(Enum):
    """Where a program is run: its number, and its kind."""

    INGRESS = (0, _PACKETS)
    EGRESS = (1, _PACKETS)
    CONNECT4 = (10, _ADDRESSES)
    SENDMSG4 = (14, _ADDRESSES)
    RECVMSG4 = (19, _ADDRESSES)


def instruction(
    code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    """Write one instruction."""
    return struct.pack("<BBhi", code, target | source << 4, offset, value)


EXIT: Final = instruction(0x95)


def why_not(unified: str, program: bytes, hook: Hook) -> str:
    """Tell why no such program can be attached here; empty if one can.

    Args:
        unified: The folder of the system's groups in the v2 hierarchy; empty if there is none.
        program: One to try; it is not attached.
        hook: Where it would be run.
    """
    if os.geteuid() != 0:
        return "only root can attach a program to sockets"
    if not unified:
        return "no service of this system is in a group of cgroup v2, by which sockets are told"
    if platform.machine() not in _SYSCALLS:
        return f"nobody knows how to call bpf(2) on {platform.machine()}"
    try:
        os.close(_loaded(program, hook))
    except OSError as exc:
        return f"the kernel takes no program for sockets: {exc.strerror}"
    return ""


@contextlib.contextmanager
def attached(group: str, program: bytes, hook: Hook) -> Iterator[None]:
    """Run a program for the sockets of a group.

    Args:
        group: Its folder in the v2 hierarchy.
        program: What is run.
        hook: Where.

    Raises:
        OperationError: If the kernel refuses.
    """
    try:
        loaded = _loaded(program, hook)
        try:
            folder = os.open(Path(group), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                link = _bpf(_LINK_CREATE, _LINK_LAYOUT.pack(loaded, folder, hook.value[0], 0))
            finally:
                os.close(folder)
        finally:
            os.close(loaded)
    except OSError as exc:
        raise OperationError(f"sockets cannot be tampered with: {exc.strerror}") from exc
    try:
        yield
    finally:
        os.close(link)


class Counter:
    """A number that programs count up. Not thread-safe.

    Raises:
        OSError: If the kernel refuses.
    """

    def __init__(self) -> None:
        self.fd = _bpf(_MAP_CREATE, _MAP_LAYOUT.pack(_ARRAY, 4, 8, 1, 0))

    def read(self) -> int:
        """Give it as it is now.

        Raises:
            OSError: If the kernel refuses.
        """
        key, value = ctypes.c_uint32(0), ctypes.c_uint64(0)
        _bpf(
            _MAP_LOOKUP,
            _LOOKUP_LAYOUT.pack(self.fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0),
        )
        return value.value

    def close(self) -> None:
        """Let go of it; programs that have it keep it."""
        os.close(self.fd)


def _loaded(program: bytes, hook: Hook) -> int:
    """Load a program; give its descriptor.

    Raises:
        OSError: If the kernel refuses.
    """
    number, kind = hook.value
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    return _bpf(
        _PROG_LOAD,
        _LOAD_LAYOUT.pack(
            kind,
            len(program) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            *(0, 0, 0),
            *(0, 0),
            b"resile",
            0,
            number,
        ),
    )


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(_LIBC.syscall(_SYSCALLS[platform.machine()], command, buffer, len(attributes)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if command != _MAP_LOOKUP:
        os.set_inheritable(result, False)
    return result
