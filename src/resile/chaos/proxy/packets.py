"""Drops packets between one control group and a server, all of them or a share, and counts them.

The group's own side drops: what it sends is dropped as a full queue drops it, so that the sender gets no
error, and what it receives is dropped before its sockets see it.

Source: struct __sk_buff in linux/bpf.h; include/linux/bpf-cgroup.h for what a program's answer means.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

from resile.chaos import bpf
from resile.chaos.bpf import EXIT, Counter, Hook, instruction
from resile.chaos.carrying import Carrying
from resile.chaos.proxy.redirect import number_of
from resile.errors import OperationError

_TELL_S: Final = 0.05
_COPY, _SET, _ADD, _AND, _SHIFT = 0xBF, 0xB7, 0x07, 0x57, 0x67
_LOAD_8, _LOAD_16, _LOAD_32, _STORE_32, _COUNT = 0x71, 0x69, 0x61, 0x62, 0xDB
_IF, _UNLESS, _UNLESS_32, _IF_MORE_32 = 0x15, 0x55, 0x56, 0x36
_CALL, _WIDE, _MAP = 0x85, 0x18, 1
_LOOK_UP, _CHANCE, _BYTES = 1, 7, 26
"""Helpers: map_lookup_elem, get_prandom_u32, skb_load_bytes."""
_PACKET, _LENGTH, _STACK = 6, 7, 10
_HEAD_BYTES: Final = 20
_HEAD_AT, _PORT_AT, _KEY_AT = -24, -32, -40
_ADDRESSES: Final = {Hook.INGRESS: 12, Hook.EGRESS: 16}
"""Where the other side's address is in the head of an IPv4 packet: it sent it, or is sent it."""
_PORTS: Final = {Hook.INGRESS: 0, Hook.EGRESS: 2}
_DROP: Final = {Hook.INGRESS: 0, Hook.EGRESS: 2}
HOOKS: Final = {
    "both": (Hook.EGRESS, Hook.INGRESS),
    "up": (Hook.EGRESS,),
    "down": (Hook.INGRESS,),
}


def why_not(unified: str) -> str:
    """Tell why packets cannot be dropped here; empty if they can.

    Args:
        unified: The folder of the system's groups in the v2 hierarchy; empty if there is none.
    """
    keep = instruction(_SET, 0, value=1) + EXIT
    return bpf.why_not(unified, keep, Hook.EGRESS)


def drop(carrying: Carrying) -> None:
    """Drop until the process is ended, and say how many were.

    Raises:
        OperationError: If the kernel refuses.
    """
    facts, arguments = carrying.record.facts, carrying.record.arguments
    with contextlib.ExitStack() as stack:
        counter = stack.enter_context(_counter())
        for hook in HOOKS[arguments["direction"]]:
            server = (facts["server_host"], facts["server_port"])
            program = program_of(hook, server, facts["share"], counter.fd)
            stack.enter_context(bpf.attached(facts["group"], program, hook))
        while True:
            carrying.say({"dropped": counter.read()})
            carrying.clock.sleep(_TELL_S)


@contextlib.contextmanager
def _counter() -> Iterator[Counter]:
    try:
        counter = Counter()
    except OSError as exc:
        raise OperationError(f"packets cannot be counted: {exc.strerror}") from exc
    with contextlib.closing(counter):
        yield counter


def program_of(hook: Hook, server: tuple[str, int], share: float, counter_fd: int) -> bytes:
    """Write the program: a packet of the server is dropped and counted, by chance if so wanted."""
    drops = b"".join(
        (
            instruction(_STORE_32, _STACK, offset=_KEY_AT),
            instruction(_WIDE, 1, _MAP, value=counter_fd),
            instruction(0),
            instruction(_COPY, 2, _STACK),
            instruction(_ADD, 2, value=_KEY_AT),
            instruction(_CALL, value=_LOOK_UP),
            instruction(_IF, 0, offset=2),
            instruction(_SET, 1, value=1),
            instruction(_COUNT, 0, 1),
            instruction(_SET, 0, value=_DROP[hook]),
            EXIT,
        )
    )
    checks = (
        *_bytes(_HEAD_AT, _HEAD_BYTES, instruction(_SET, 2)),
        (_UNLESS, 0, 0),
        instruction(_LOAD_8, 1, _STACK, _HEAD_AT),
        instruction(_COPY, _LENGTH, 1),
        instruction(_AND, 1, value=0xF0),
        (_UNLESS, 1, 0x40),  # IPv4.
        instruction(_AND, _LENGTH, value=0x0F),
        instruction(_SHIFT, _LENGTH, value=2),
        instruction(_LOAD_32, 2, _STACK, _HEAD_AT + _ADDRESSES[hook]),
        (_UNLESS_32, 2, number_of(server[0])),
        instruction(_ADD, _LENGTH, value=_PORTS[hook]),
        *_bytes(_PORT_AT, 2, instruction(_COPY, 2, _LENGTH)),
        (_UNLESS, 0, 0),
        instruction(_LOAD_16, 2, _STACK, _PORT_AT),
        (_UNLESS, 2, socket.htons(server[1])),
        *_by_chance(share),
    )
    keep = instruction(_SET, 0, value=1) + EXIT
    return instruction(_COPY, _PACKET, 1) + _resolved(checks, len(drops) // 8) + drops + keep


_Check = bytes | tuple[int, int, int]
"""An instruction, or a condition (its code, the register, the value) on which the packet is kept."""


def _bytes(at: int, count: int, offset: bytes) -> tuple[bytes, ...]:
    """Copy bytes of the packet onto the stack."""
    return (
        instruction(_COPY, 1, _PACKET),
        offset,
        instruction(_COPY, 3, _STACK),
        instruction(_ADD, 3, value=at),
        instruction(_SET, 4, value=count),
        instruction(_CALL, value=_BYTES),
    )


def _by_chance(share: float) -> tuple[_Check, ...]:
    if share >= 1:
        return ()
    limit = int(share * (1 << 32))
    return (
        instruction(_CALL, value=_CHANCE),
        (_IF_MORE_32, 0, limit - (1 << 32) if limit >> 31 else limit),
    )


def _resolved(checks: tuple[_Check, ...], behind: int) -> bytes:
    """Let each condition lead behind the instructions that drop."""
    lines = (
        instruction(line[0], line[1], offset=len(checks) - at - 1 + behind, value=line[2])
        if isinstance(line, tuple)
        else line
        for at, line in enumerate(checks)
    )
    return b"".join(lines)
