"""Stops the threads of other processes at their system calls, to change what is called and what comes of it.

Whoever dies that traces, the kernel lets the traced threads go on: a call that was made smaller then gives a
smaller number, as the kernel may always do. One thread does all of it, as the kernel wants.

Source: ptrace(2), for PTRACE_SEIZE; struct user_regs_struct in sys/user.h.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from resile.errors import OperationError

_POKE_USER, _SYSCALL, _SEIZE, _INTERRUPT, _LISTEN, _INFO = (
    *(6, 24),
    *(0x4206, 0x4207, 0x4208, 0x420E),
)
_OPTIONS: Final = 1 | 2 | 4 | 8
"""Mark system calls; follow fork, vfork and clone."""
_ALL: Final = 0x40000000
_AT_CALL: Final = signal.SIGTRAP | 0x80
_STOP_EVENT: Final = 128
_STOPS: Final = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ENTRY, _EXIT = 1, 2
_INFO_LAYOUT: Final = struct.Struct("<B3xIQQ7Q")
_RESULT_AT, _COUNT_AT = 80, 96
"""Where rax and rdx are: what a call gives, and its third argument."""
_YAMA: Final = Path("/proc/sys/kernel/yama/ptrace_scope")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A system call that is about to be done.

    Args:
        thread: Who calls.
        number: What, as this kind of machine numbers it.
        arguments: With what.
    """

    thread: int
    number: int
    arguments: tuple[int, ...]


class Tamper(Protocol):
    """Says what becomes of calls."""

    def shorter(self, call: Call) -> int | None:
        """Give a smaller third argument, which the caller will not hear of; None: leave the call alone."""
        ...


def why_not() -> str:
    """Tell why nobody's calls can be changed here; empty if they can."""
    if platform.machine() != "x86_64":
        return f"nobody knows the registers of {platform.machine()}"
    return why_untraceable()


def why_untraceable() -> str:
    """Tell why this user may not trace other processes; empty if that is allowed."""
    try:
        scope = int(_YAMA.read_text(encoding="ascii"))
    except (OSError, ValueError):
        scope = 0
    if scope and os.geteuid() != 0:
        return f"the kernel lets only root trace other processes ({_YAMA} is {scope})"
    return ""


class Tracer:
    """Traces processes, and what they start. For one thread.

    Args:
        pids: The processes.
        tamper: Says what becomes of their calls.

    Raises:
        OperationError: If one may not be traced.
    """

    def __init__(self, pids: Iterable[int], tamper: Tamper) -> None:
        self._tamper = tamper
        self._cut: dict[int, tuple[int, int]] = {}
        """By thread: what it wanted to have done, and what it will get."""
        threads = [thread for pid in pids for thread in _threads(pid)]
        for thread in threads:
            _trace(_SEIZE, thread, data=_OPTIONS)
        for thread in threads:
            _trace(_INTERRUPT, thread)

    def run(self) -> None:
        """Go on until nobody is left to trace.

        Raises:
            OperationError: If tracing fails.
        """
        while True:
            try:
                thread, status = os.waitpid(-1, _ALL)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                self._stopped(thread, os.WSTOPSIG(status), status >> 16)
            else:
                self._cut.pop(thread, None)

    def _stopped(self, thread: int, number: int, event: int) -> None:
        if number == _AT_CALL:
            self._at_call(thread)
            number = 0
        elif event == _STOP_EVENT and number in _STOPS:
            _trace(_LISTEN, thread)
            return
        _trace(_SYSCALL, thread, data=0 if event else number)

    def _at_call(self, thread: int) -> None:
        buffer = ctypes.create_string_buffer(_INFO_LAYOUT.size)
        size = ctypes.sizeof(buffer)
        if _LIBC.ptrace(_INFO, thread, size, ctypes.addressof(buffer)) < 0:
            return  # It was killed meanwhile.
        kind, _, _, _, number, *arguments = _INFO_LAYOUT.unpack_from(buffer)
        if kind == _ENTRY:
            call = Call(thread=thread, number=number, arguments=tuple(arguments))
            count = self._tamper.shorter(call)
            if count is not None:
                self._cut[thread] = (arguments[2], count)
                _trace(_POKE_USER, thread, _COUNT_AT, count)
        elif kind == _EXIT and thread in self._cut:
            wanted, count = self._cut.pop(thread)
            _trace(_POKE_USER, thread, _COUNT_AT, wanted)
            if number == count:  # What the call gave: all of the little that was left to do.
                _trace(_POKE_USER, thread, _RESULT_AT, wanted)


def _threads(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
    except OSError as exc:
        raise OperationError(f"process {pid} has ended") from exc


def _trace(request: int, thread: int, address: int = 0, data: int = 0) -> None:
    """Ask the kernel; a thread that has ended needs nothing."""
    if _LIBC.ptrace(request, thread, address, data) < 0:
        number = ctypes.get_errno()
        if number != errno.ESRCH:
            raise OperationError(f"process {thread} cannot be traced: {os.strerror(number)}")
