"""Read from a core file why and where its process ended, without a debugger: from its notes alone.

They are a few kilobytes in front of gigabytes: each thread's registers, the signal with the address that caused it,
and which files were mapped where.

Source: elf(5), core(5), fs/binfmt_elf.c of Linux 6; the registers are those of x86-64 and of aarch64.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resile.core.process import signal_name

NOTES_BYTES_MAX: Final = 8 << 20
"""Some 2 KiB for each thread, and 100 bytes for each mapping."""
THREADS_MAX: Final = 64
FILES_MAX: Final = 200
_HEADERS_MAX: Final = 200_000
"""One for each mapping; the kernel's own limit of those is 65530 by default."""
_HEAD_BYTES: Final = 64
_HEADER_BYTES: Final = 56
_SECTION_BYTES: Final = 64
_MANY_HEADERS: Final = 0xFFFF
"""PN_XNUM: the real number stands in the first section header."""
_CLASS_64: Final = 2
_TYPE_CORE: Final = 4
_PT_NOTE: Final = 4
_NT_PRSTATUS, _NT_SIGINFO, _NT_FILE = 1, 0x53494749, 0x46494C45
_SIGNAL_AT, _TID_AT, _REGISTERS_AT = 12, 32, 112
_ADDRESS_AT: Final = 16
"""Of the fault in the note of the signal, for signals of the memory."""
_MEMORY_SIGNALS: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"})
_X86_64, _AARCH64 = 62, 183
_REGISTERS: Final[Mapping[int, tuple[str, ...]]] = {
    _X86_64: (
        *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8"),
        *("rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp"),
    ),
    _AARCH64: (*(f"x{number}" for number in range(31)), "sp", "pc"),
}
_PROGRAM_COUNTERS: Final = {_X86_64: "rip", _AARCH64: "pc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreThread:
    """One thread at the end.

    Args:
        tid: Which.
        at: The file and the offset in it at which it stood, such as `libc.so.6+0x9d8bc`; the plain
            address where no file is mapped, empty where the machine is not known.
        registers: In hexadecimal, by name.
    """

    tid: int
    at: str = ""
    registers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreNotes:
    """What a core tells of the end of its process.

    Args:
        signal: The name of the signal that ended it; empty if it does not tell.
        address: Which address it touched, in hexadecimal; empty where that has no meaning.
        threads_count: How many threads it had.
        threads: The one that failed first; at most `THREADS_MAX`.
        program: The file of the program; empty if it does not tell.
        files: What else was mapped, sorted; at most `FILES_MAX`.
    """

    signal: str = ""
    address: str = ""
    threads_count: int = 0
    threads: tuple[CoreThread, ...] = ()
    program: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Mapping:
    start: int
    end: int
    offset: int
    path: str


def read_core_notes(path: Path) -> CoreNotes | None:
    """Read a core's notes; None if it is no 64-bit core, or a damaged one."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:
        return None
    try:
        return _read(fd)
    except (OSError, struct.error, ValueError, IndexError, OverflowError):
        return None
    finally:
        os.close(fd)


def _read(fd: int) -> CoreNotes | None:
    head = os.pread(fd, _HEAD_BYTES, 0)
    if head[:4] != b"\x7fELF" or head[4] != _CLASS_64:
        return None
    order = "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(f"{order}HH", head, 16)
    if kind != _TYPE_CORE:
        return None
    notes = tuple(_notes(order, b) for b in _note_segments(fd, order, head))
    return _told([note for segment in notes for note in segment], order, machine)


def _note_segments(fd: int, order: str, head: bytes) -> Iterator[bytes]:
    """Give the content of each segment of notes."""
    headers_at, sections_at = struct.unpack_from(f"{order}QQ", head, 32)
    count = struct.unpack_from(f"{order}H", head, 56)[0]
    if count == _MANY_HEADERS:
        section = os.pread(fd, _SECTION_BYTES, sections_at)
        count = struct.unpack_from(f"{order}I", section, 44)[0]
    left = NOTES_BYTES_MAX
    for index in range(min(count, _HEADERS_MAX)):
        header = os.pread(fd, _HEADER_BYTES, headers_at + index * _HEADER_BYTES)
        kind, _, offset = struct.unpack_from(f"{order}IIQ", header)
        if kind == _PT_NOTE:
            size = min(left, struct.unpack_from(f"{order}Q", header, 32)[0])
            left -= size
            yield os.pread(fd, size, offset)


def _notes(order: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the kind and the content of each note; one that is cut off is left out."""
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from(f"{order}III", data, at)
        begin = at + 12 + _padded(name_size)
        at = begin + _padded(size)
        if begin + size <= len(data):
            yield kind, data[begin : begin + size]


def _told(notes: list[tuple[int, bytes]], order: str, machine: int) -> CoreNotes:
    mapped = [m for kind, data in notes if kind == _NT_FILE for m in _mappings(order, data)]
    states = [data for kind, data in notes if kind == _NT_PRSTATUS]
    name, address = _signal(notes, states, order)
    paths = list(dict.fromkeys(mapping.path for mapping in mapped))
    return CoreNotes(
        signal=name,
        address=address,
        threads_count=len(states),
        threads=tuple(_thread(s, order, machine, mapped) for s in states[:THREADS_MAX]),
        program=paths[0] if paths else "",
        files=tuple(sorted(paths[1:])[:FILES_MAX]),
    )


def _signal(notes: list[tuple[int, bytes]], states: list[bytes], order: str) -> tuple[str, str]:
    """Name the signal, and the address that it is about."""
    number = struct.unpack_from(f"{order}h", states[0], _SIGNAL_AT)[0] if states else 0
    name = signal_name(number) if number else ""
    info = next((data for kind, data in notes if kind == _NT_SIGINFO), b"")
    if name not in _MEMORY_SIGNALS or len(info) < _ADDRESS_AT + 8:
        return name, ""
    return name, hex(struct.unpack_from(f"{order}Q", info, _ADDRESS_AT)[0])


def _thread(state: bytes, order: str, machine: int, mapped: list[_Mapping]) -> CoreThread:
    tid = struct.unpack_from(f"{order}i", state, _TID_AT)[0]
    names = _REGISTERS.get(machine, ())
    values = struct.unpack_from(f"{order}{len(names)}Q", state, _REGISTERS_AT)
    registers = dict(zip(names, values, strict=True))
    counter = registers.get(_PROGRAM_COUNTERS.get(machine, ""))
    return CoreThread(
        tid=tid,
        at="" if counter is None else _place(counter, mapped),
        registers={name: hex(value) for name, value in registers.items()},
    )


def _place(address: int, mapped: list[_Mapping]) -> str:
    """Name a place by file and offset, which is the same in every process of the program."""
    for mapping in mapped:
        if mapping.start <= address < mapping.end:
            offset = address - mapping.start + mapping.offset
            return f"{mapping.path.rpartition('/')[2]}+{offset:#x}"
    return hex(address)


def _mappings(order: str, data: bytes) -> Iterator[_Mapping]:
    count, page_bytes = struct.unpack_from(f"{order}QQ", data)
    if count > _HEADERS_MAX:
        return
    names = data[16 + 24 * count :].split(b"\0")
    for index, name in zip(range(count), names, strict=False):
        start, end, page = struct.unpack_from(f"{order}QQQ", data, 16 + 24 * index)
        yield _Mapping(start, end, page * page_bytes, name.decode(errors="replace"))


def _padded(size: int) -> int:
    return (size + 3) & ~3
