"""Lets the connections of one control group lead to a proxy, and nobody else's.

A program of eight instructions looks at each connect(2) of the group: what goes to the server goes to the
proxy instead.

Source: struct bpf_sock_addr in linux/bpf.h.
"""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final

from resile.chaos import bpf
from resile.chaos.bpf import EXIT, Hook, instruction

USER_IP4, USER_PORT = 4, 24
"""Offsets in struct bpf_sock_addr; both in the network's byte order."""
LOAD, STORE, SET = 0x61, 0x63, 0xB7
UNLESS, UNLESS_32 = 0x55, 0x56
CONTEXT, RESULT, VALUE = 1, 0, 2
ALLOW: Final = instruction(SET, RESULT, value=1) + EXIT


def why_not(unified: str) -> str:
    """Tell why connections cannot be redirected here; empty if they can.

    Args:
        unified: The folder of the system's groups in the v2 hierarchy; empty if there is none.
    """
    return bpf.why_not(unified, _program(("127.0.0.1", 1), 1), Hook.CONNECT4)


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
    with bpf.attached(group, _program(server, port), Hook.CONNECT4):
        yield


def number_of(address: str) -> int:
    """Give an IPv4 address as a program compares it: in the network's order, with a sign."""
    return int(struct.unpack("<i", ipaddress.IPv4Address(address).packed)[0])


def _program(server: tuple[str, int], port: int) -> bytes:
    """Write the program: if address and port are the server's, put our port in; always allow."""
    return b"".join(
        (
            instruction(LOAD, VALUE, CONTEXT, USER_PORT),
            instruction(UNLESS, VALUE, offset=4, value=socket.htons(server[1])),
            instruction(LOAD, VALUE, CONTEXT, USER_IP4),
            instruction(UNLESS_32, VALUE, offset=2, value=number_of(server[0])),
            instruction(SET, VALUE, value=socket.htons(port)),
            instruction(STORE, CONTEXT, VALUE, USER_PORT),
            ALLOW,
        )
    )
