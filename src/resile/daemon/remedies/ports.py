"""Who holds a port: which socket listens there, and which processes have it open.

Source: proc_net(5), "net/tcp"; proc_pid_fd(5).
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from resile.daemon.remedies.owners import PROC

PORT_MAX = 65535
_LISTENS = "0A"
_NAMED = (
    re.compile(r"\('[^']*', (\d{1,5})(?:, \d+, \d+)?\)"),
    re.compile(r"(?:port|:)\s*[=:]?\s*(\d{1,5})\b", re.IGNORECASE),
)
"""As Python writes an address, and as others do: `port 80`, `127.0.0.1:80`, `:::80`."""


_COMPLAINT = re.compile(r"in use|EADDRINUSE|taken", re.IGNORECASE)
_TIME = re.compile(r"(?<![\d.:])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])")
"""A time of day is no port, although it looks like one."""


def ports_in(text: str) -> Iterator[int]:
    """Yield the ports that a complaint of a taken port names, the likeliest first."""
    for line in filter(_COMPLAINT.search, text.splitlines()):
        timeless = _TIME.sub("", line)
        for pattern in _NAMED:
            for found in pattern.findall(timeless):
                if 0 < int(found) <= PORT_MAX:
                    yield int(found)


def holders_of(port: int, *, proc: Path = PROC) -> tuple[int, ...]:
    """List the processes that listen on a port, of whatever address. Reads every process's descriptors.

    What other users have open is seen by root only.
    """
    inodes = set(_listening(port, proc))
    return tuple(_with_sockets(inodes, proc)) if inodes else ()


def is_taken(port: int, *, proc: Path = PROC) -> bool:
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
