"""Folders as they are now, and what of them must be read again."""

import contextlib
import fnmatch
import json
import marshal
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from resile.store.model import Snapshot

PRIVATE_PREFIX = ".resile-"
"""Begins the names of what resile itself keeps in folders for a moment: stages, restores."""
_DIGEST_BYTES = 16
_TYPE, _FOLDER, _FILE = 0o170000, stat.S_IFDIR, stat.S_IFREG
_TICK_NS = 100_000_000
"""The kernel's clock for files ticks every 1 to 10 ms; whatever changed this shortly before it was
looked at may change again and have the same times."""
_COARSE_TICK_NS = 2_000_000_000
"""For file systems that know whole seconds only (FAT: two)."""
_SECOND_NS = 1_000_000_000

Facts = tuple[int, int, int, int, int, int, int, int]
"""mode, uid, gid, size, mtime_ns, ctime_ns, inode, links: equal facts, equal entry."""
CTIME, INODE = 5, 6
"""Where these two stand among the facts."""


class Row(NamedTuple):
    """An entry as a scan found it; a tuple, as there is one for each file of the source.

    Args:
        name: As the system gives it; bytes that are no UTF-8 are escaped.
        status: Its status; links are not followed.
        facts: What of it tells that it is what it was.
    """

    name: str
    status: os.stat_result
    facts: Facts

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A folder as it is now.

    Args:
        rows: Its entries, in the order of their names' bytes.
        folders: Those that are folders.
        digest: Sums up their facts: equal digests, equal facts of every entry.
        size_bytes: Of all files.
    """

    rows: list[Row]
    folders: list[Row]
    digest: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a snapshot leaves out.

    Args:
        excludes: Patterns such as `*.tmp` (any name) or `build/*` (a path from the source on).
        device: Only what lies on this device; None: everything.
        hidden: Folders that are left out by their identity (device, inode): the store itself.
    """

    excludes: tuple[str, ...] = ()
    device: int | None = None
    hidden: frozenset[tuple[int, int]] = frozenset()

    def leave_out(self, folder: str, name: str, status: os.stat_result) -> bool:
        """Tell whether an entry is left out."""
        if name.startswith(PRIVATE_PREFIX) or (status.st_dev, status.st_ino) in self.hidden:
            return True
        if self.device is not None and status.st_dev != self.device:
            return True
        path = f"{folder}/{name}" if folder else name
        return any(
            fnmatch.fnmatchcase(path if "/" in pattern else name, pattern.rstrip("/"))
            for pattern in self.excludes
        )


EVERYTHING = Rules()


def rules_of(snapshot: Snapshot) -> Rules:
    """Give what a snapshot left out, for looking at its folder as it is now.

    Raises:
        OSError: If the folder is not there, and its device is needed.
    """
    device = Path(snapshot.source).stat().st_dev if snapshot.is_one_file_system else None
    return Rules(excludes=snapshot.excludes, device=device)


def left_out(folder: Path, rules: Rules) -> Iterator[str]:
    """Name what rules leave out below a folder, the topmost of each, as paths from it on.

    What is resile's own is not named, nor what lies in folders that cannot be read.
    """
    waiting = [""] if rules.excludes or rules.device is not None else []
    while waiting:
        below = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder / below) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}" if below else entry.name
                if rules.leave_out(below, entry.name, entry.stat(follow_symlinks=False)):
                    if not entry.name.startswith(PRIVATE_PREFIX):
                        yield path
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)


def scan(fd: int, folder: str, rules: Rules) -> Scan:
    """Read an open folder.

    This is what a snapshot without a change spends its time on: 1.6 us for each entry, most of it
    the kernel's.

    Raises:
        OSError: If it cannot be read.
    """
    rows = []
    is_picky = bool(rules.excludes or rules.device is not None)
    hidden = {inode for _, inode in rules.hidden}
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # It went in between, as anything may at any time.
            if (is_picky or name[0] == "." or status.st_ino in hidden) and rules.leave_out(
                folder, name, status
            ):
                continue
            rows.append(Row(name, status, facts_of(status)))
    rows.sort()
    if not all(map(str.isascii, map(_name, rows))):
        rows.sort(key=_name_bytes)
    # Version 2 has no references, which would depend on what else is in memory.
    facts = marshal.dumps([(name, one) for name, _, one in rows], 2)
    return Scan(
        rows=rows,
        folders=[row for row in rows if row[2][0] & _TYPE == _FOLDER],
        digest=blake3(facts).digest(_DIGEST_BYTES),
        size_bytes=sum([one[3] for _, _, one in rows if one[0] & _TYPE == _FILE]),
    )


facts_of: Callable[[os.stat_result], Facts] = attrgetter(
    "st_mode",
    "st_uid",
    "st_gid",
    "st_size",
    "st_mtime_ns",
    "st_ctime_ns",
    "st_ino",
    "st_nlink",
)
"""Give what tells that an entry is what it was."""


def is_recent(status: os.stat_result, now_ns: int) -> bool:
    """Tell whether an entry changed so shortly ago that its next change might not show."""
    newest = max(status.st_ctime_ns, status.st_mtime_ns)
    is_coarse = status.st_ctime_ns % _SECOND_NS == 0
    return newest > now_ns - (_COARSE_TICK_NS if is_coarse else _TICK_NS)


def encode_facts(rows: Sequence[Row], now_ns: int) -> tuple[bytes, bool]:
    """Write the facts of a folder's entries; tell whether all of them can be relied on.

    What changed just before it was looked at is written without its ctime, so that it never
    looks as before.
    """
    facts: dict[str, Facts] = {}
    is_lasting = True
    for row in rows:
        one = row.facts
        if is_recent(row.status, now_ns):
            is_lasting = False
            mode, uid, gid, size, mtime_ns, _, inode, links = one
            one = (mode, uid, gid, size, mtime_ns, 0, inode, links)
        facts[row.name] = one
    return json.dumps(facts, separators=(",", ":")).encode("ascii"), is_lasting


def decode_facts(data: bytes | None) -> dict[str, Facts]:
    """Read them; none if they are damaged: then everything is read again."""
    if data is None:
        return {}
    try:
        return {name: tuple(facts) for name, facts in json.loads(data).items()}
    except (ValueError, AttributeError, TypeError):
        return {}


_name = itemgetter(0)


def _name_bytes(row: Row) -> bytes:
    return os.fsencode(row.name)
