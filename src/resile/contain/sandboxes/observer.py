"""Answer the forbidden system calls of a box, and tell what was tried.

Enforcement is elsewhere: the answer here is always a refusal, but for harmless `connect` calls,
which go on. That going on is racy (another thread may change the address after we read it), so it
observes only; that nothing can be reached is the doing of the empty network namespace. In the same
way the refusal of `mount` and the like does not depend on us: the box has no capabilities, and
when nobody observes, the kernel answers such calls with ENOSYS.

Source: seccomp_unotify(2).
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from resile.contain.model import Violation
from resile.contain.sandboxes.seccomp import MACHINES
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.vocabulary import ViolationKind

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_ID_VALID: Final = (0x40082102, 0x80082102)
"""Linux 5.17 corrected the direction in the number; older kernels know the second only."""
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE: Final = 1
_CALLS_PER_READ_MAX: Final = 64
"""So that a command which does nothing else does not keep the supervisor from its limits."""
_RECORDS_MAX: Final = 100
"""Of one system call in one run. More is answered, but not told: the same call would only fill the
journal, and must not hide another one that ends the run."""
_TEXT_BYTES_MAX: Final = 256
_ADDRESS_BYTES_MAX: Final = 28
"""A sockaddr_in6. Those of local sockets are longer, but of no interest."""
_PAGE: Final = 4096
_TEXTS: Final[Mapping[str, Sequence[int]]] = {
    "mount": (0, 1, 2),
    "umount2": (0,),
    "pivot_root": (0, 1),
    "chroot": (0,),
    "swapon": (0,),
    "swapoff": (0,),
    "acct": (0,),
    "open_tree": (1,),
    "move_mount": (1, 3),
    "fsopen": (0,),
    "fspick": (1,),
    "mount_setattr": (1,),
    "sethostname": (0,),
    "finit_module": (1,),
    "add_key": (0, 1),
    "request_key": (0, 1),
}
"""Which arguments point to text."""
_NUMBERS_SHOWN: Final = 3


class Observer:
    """The supervisor's end of a seccomp listener. Not thread-safe; the caller closes `fd`.

    While nobody calls `read`, forbidden calls wait, and every `connect` with them.
    """

    def __init__(self, notify_fd: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.fd = notify_fd
        self.has_ended = False
        """True when no process is left that could call; `fd` stays readable then."""
        self._clock = clock
        self._recorded_counts: Counter[str] = Counter()
        self._names = {number: name for name, number in MACHINES[os.uname().machine][1].items()}
        self._poll = select.poll()
        self._poll.register(notify_fd, select.POLLIN)

    def read(self) -> tuple[Violation, ...]:
        """Answer the calls that wait, some dozens at most; tell the refused ones. Never blocks."""
        seen: list[Violation] = []
        for _ in range(_CALLS_PER_READ_MAX):
            events = dict(self._poll.poll(0)).get(self.fd, 0)
            if events & select.POLLHUP:
                self.has_ended = True
            if not events & select.POLLIN:
                break
            if (violation := self._answer_one()) is not None:
                seen.append(violation)
        return tuple(seen)

    def _answer_one(self) -> Violation | None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, buffer)
        except OSError:  # ENOENT: the caller was killed since the poll.
            return None
        call_id, thread_id, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        name = self._names.get(number, f"system call {number}")
        if name == "connect":
            address = _address(thread_id, arguments)
            if not self._is_valid(call_id):
                return None
            if not _is_outside(address):
                self._answer(call_id, 0)
                return None
            detail = f"connect {address}"
            violation = self._recorded(ViolationKind.CONNECT, name, detail, thread_id)
            self._answer(call_id, errno.ENETUNREACH)
            return violation
        detail = _described(name, thread_id, arguments) if self._has_room(name) else name
        violation = self._recorded(ViolationKind.SYSCALL, name, detail, thread_id)
        is_valid = self._is_valid(call_id)
        self._answer(call_id, errno.EPERM)
        return violation if is_valid else None

    def _has_room(self, name: str) -> bool:
        return self._recorded_counts[name] < _RECORDS_MAX

    def _recorded(
        self, kind: ViolationKind, name: str, detail: str, thread_id: int
    ) -> Violation | None:
        if not self._has_room(name):
            return None
        self._recorded_counts[name] += 1
        pid, command = _process_of(thread_id)
        return Violation(
            kind=kind,
            detail=detail,
            pid=pid,
            command=command,
            source="seccomp",
            at=self._clock.now(),
        )

    def _is_valid(self, call_id: int) -> bool:
        """Tell whether the caller still waits: else its pid may be another's by now."""
        for request in _ID_VALID:
            try:
                fcntl.ioctl(self.fd, request, struct.pack("=Q", call_id))
            except OSError as exc:
                if exc.errno == errno.ENOENT:
                    return False
            else:
                return True
        return False

    def _answer(self, call_id: int, error: int) -> None:
        """Refuse with an error, or with 0 let the kernel go on."""
        with contextlib.suppress(OSError):  # The caller was killed meanwhile.
            flags = 0 if error else _CONTINUE
            fcntl.ioctl(self.fd, _SEND, _ANSWER.pack(call_id, 0, -error, flags))


def _address(thread_id: int, arguments: Sequence[int]) -> str:
    """Read where a `connect` goes: `10.0.0.1:80`, `[::1]:80`; empty for what is no network."""
    size = min(arguments[2], _ADDRESS_BYTES_MAX)
    data = _memory(thread_id, arguments[1], size)
    family = int.from_bytes(data[:2], "little")
    port = int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET and len(data) >= 8:
        return f"{socket.inet_ntop(socket.AF_INET, data[4:8])}:{port}"
    if family == socket.AF_INET6 and len(data) >= 24:
        return f"[{socket.inet_ntop(socket.AF_INET6, data[8:24])}]:{port}"
    return ""


def _is_outside(address: str) -> bool:
    """Tell whether an address is beyond the box: its own loopback is a harmless place."""
    if not address:
        return False
    from ipaddress import ip_address  # a millisecond, which a run without a connection saves

    host = ip_address(address.rpartition(":")[0].strip("[]"))
    mapped = getattr(host, "ipv4_mapped", None)
    return not (mapped or host).is_loopback and not host.is_unspecified


def _described(name: str, thread_id: int, arguments: Sequence[int]) -> str:
    """Write a call with what its arguments point to, as far as it is known and readable."""
    if name in _TEXTS:
        texts = [_text(thread_id, arguments[index]) for index in _TEXTS[name]]
        return f"{name} {' '.join(texts)}"
    numbers = map(_number, arguments[:_NUMBERS_SHOWN])
    return " ".join([name, *filter(None, numbers)])


def _number(register: int) -> str:
    """Write an argument; empty for an address, which a register that is not used mostly holds, too."""
    signed = register - (1 << 64) if register >= 1 << 63 else register
    if abs(signed) >= 1 << 32:
        return ""
    return str(signed) if signed <= 9 else f"{signed:#x}"


def _text(thread_id: int, address: int) -> str:
    """Read a text that ends with a zero byte; `-` if there is none."""
    if not address:
        return "-"
    data = _memory(thread_id, address, min(_TEXT_BYTES_MAX, _PAGE - address % _PAGE))
    if b"\0" not in data:
        data += _memory(thread_id, address + len(data), _TEXT_BYTES_MAX - len(data))
    shown = data.partition(b"\0")[0].decode(errors="replace")
    return repr(shown)


def _memory(thread_id: int, address: int, size: int) -> bytes:
    """Read another process's memory; empty if it is gone or not ours to read."""
    try:
        fd = os.open(f"/proc/{thread_id}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, address)
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(fd)


def _process_of(thread_id: int) -> tuple[int, str]:
    """Tell whose thread it is, and the process's short name."""
    try:
        text = Path(f"/proc/{thread_id}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, ""
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return int(fields.get("Tgid", "0")), fields.get("Name", "")
