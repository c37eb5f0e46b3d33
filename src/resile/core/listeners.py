"""Who listens on a TCP port: which sockets do, and which processes have them open.

Source: proc_net(5), "net/tcp"; proc_pid_fd(5); TCP_LISTEN in include/net/tcp_states.h.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"


def holders_of(port: int, *, proc: Path = _PROC) -> tuple[int, ...]:
    """List the processes that listen on a port, of whatever address. Reads every process's descriptors.

    What other users have open is seen by root only.
    """
    inodes = set(_listening(port, proc))
    return tuple(_with_sockets(inodes, proc)) if inodes else ()


def is_taken(port: int, *, proc: Path = _PROC) -> bool:
    """Tell whether anything listens on a port."""
    return any(True for _ in _listening(port, proc))


def _listening(port: int, proc: Path) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        for line in _lines(proc / "net" / name):
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTENS:
                continue
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _with_sockets(inodes: Iterable[str], proc: Path) -> Iterator[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in proc.iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            with os.scandir(entry / "fd") as opened:
                has_it = any(_target(one) in wanted for one in opened)
            if has_it:
                yield int(entry.name)


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return os.readlink(entry.path)  # noqa: PTH115 - of every descriptor of the machine
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # A kernel without IPv6.
        return []
