"""Lets the connections of one control group lead to a proxy, and nobody else's.

A program of eight instructions looks at each connect(2) of the group: what goes to the server goes to the
proxy instead. It belongs to a link, which the kernel removes when its last descriptor is closed, so that
nothing is left of it however this process ends.

Source: bpf(2); Documentation/bpf/prog_cgroup_sockopt.rst for links; struct bpf_sock_addr in linux/bpf.h.
"""

import contextlib
import ctypes
import ipaddress
import os
import platform
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resile.errors import OperationError

_SYSCALLS: Final = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _LINK_CREATE = 5, 28
_SOCK_ADDR_PROGRAM, _CONNECT4 = 18, 10
_LOAD_LAYOUT: Final = struct.Struct("<IIQQIIQII16sII")
_LINK_LAYOUT: Final = struct.Struct("<IIII")
_USER_IP4, _USER_PORT = 4, 24
"""Offsets in struct bpf_sock_addr; both in the network's byte order."""
_LOAD, _STORE, _SET, _EXIT = 0x61, 0x63, 0xB7, 0x95
_UNLESS, _UNLESS_32 = 0x55, 0x56
_CONTEXT, _RESULT, _VALUE = 1, 0, 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def why_not(unified: str) -> str:
    """Tell why connections cannot be redirected here; empty if they can.

    Args:
        unified: The folder of the system's groups in the v2 hierarchy; empty if there is none.
    """
    if os.geteuid() != 0:
        return "only root can redirect connections"
    if not unified:
        return "there is no cgroup v2 here, and connections are redirected by group"
    if platform.machine() not in _SYSCALLS:
        return f"nobody knows how to call bpf(2) on {platform.machine()}"
    try:
        os.close(_loaded(_program(("127.0.0.1", 1), 1)))
    except OSError as exc:
        return f"the kernel takes no program for connections: {exc.strerror}"
    return ""


@contextlib.contextmanager
def redirected(group: str, server: tuple[str, int], port: int) -> Iterator[None]:
    """Let what the group connects to a server at lead to a port of this machine.

    Args:
        group: Its folder in the v2 hierarchy.
        server: The address, IPv4, and its port.
        port: Where the proxy listens, at the same address.

    Raises:
        OperationError: If the kernel refuses.
    """
    try:
        program = _loaded(_program(server, port))
        try:
            folder = os.open(Path(group), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                link = _bpf(_LINK_CREATE, _LINK_LAYOUT.pack(program, folder, _CONNECT4, 0))
            finally:
                os.close(folder)
        finally:
            os.close(program)
    except OSError as exc:
        raise OperationError(f"connections cannot be redirected: {exc.strerror}") from exc
    try:
        yield
    finally:
        os.close(link)


def _program(server: tuple[str, int], port: int) -> bytes:
    """Write the program: if address and port are the server's, put our port in; always allow."""
    address = struct.unpack("<i", ipaddress.IPv4Address(server[0]).packed)[0]
    return b"".join(
        (
            _instruction(_LOAD, _VALUE, _CONTEXT, _USER_PORT, 0),
            _instruction(_UNLESS, _VALUE, 0, 4, socket.htons(server[1])),
            _instruction(_LOAD, _VALUE, _CONTEXT, _USER_IP4, 0),
            _instruction(_UNLESS_32, _VALUE, 0, 2, address),
            _instruction(_SET, _VALUE, 0, 0, socket.htons(port)),
            _instruction(_STORE, _CONTEXT, _VALUE, _USER_PORT, 0),
            _instruction(_SET, _RESULT, 0, 0, 1),
            _instruction(_EXIT, 0, 0, 0, 0),
        )
    )


def _instruction(code: int, target: int, source: int, offset: int, value: int) -> bytes:
    return struct.pack("<BBhi", code, target | source << 4, offset, value)


def _loaded(program: bytes) -> int:
    """Load a program; give its descriptor.

    Raises:
        OSError: If the kernel refuses.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    return _bpf(
        _PROG_LOAD,
        _LOAD_LAYOUT.pack(
            _SOCK_ADDR_PROGRAM,
            len(program) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            *(0, 0, 0),
            *(0, 0),
            b"resile",
            0,
            _CONNECT4,
        ),
    )


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(_LIBC.syscall(_SYSCALLS[platform.machine()], command, buffer, len(attributes)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    os.set_inheritable(result, False)
    return result
