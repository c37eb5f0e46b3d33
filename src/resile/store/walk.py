"""Folders as they are now, and what of them must be read again."""

import contextlib
import fnmatch
import marshal
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from resile.store.model import Snapshot

PRIVATE_PREFIX = ".resile-"
"""Begins the names of what resile itself keeps in folders for a moment: stages, restores."""
_BETWEEN = "/"
"""Stands between names: none has one."""
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
SIZE, MTIME, CTIME, INODE, LINKS = 3, 4, 5, 6, 7
"""Where these stand among the facts."""


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


Found = tuple[str, os.stat_result]
"""A name and its status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A folder as it is now.

    Args:
        found: Its entries, in the order of their names' bytes.
        facts: Of each.
        folders: Those that are folders.
        text: Names and facts, as the catalog keeps them.
        digest: Sums that up: equal digests, equal facts of every entry.
    """

    found: list[Found]
    facts: list[Facts]
    folders: list[Row]
    text: bytes
    digest: bytes

    def rows(self) -> list[Row]:
        """Give its entries with all that is known of them; only what changed is worth it."""
        return [
            Row(name, status, facts)
            for (name, status), facts in zip(self.found, self.facts, strict=True)
        ]

    def size_bytes(self) -> int:
        """Count the bytes of all files."""
        return sum([one[SIZE] for one in self.facts if one[0] & _TYPE == _FILE])


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
        if name.startswith(PRIVATE_PREFIX) or self.is_hidden(status):
            return True
        if self.device is not None and status.st_dev != self.device:
            return True
        path = f"{folder}/{name}" if folder else name
        return any(
            fnmatch.fnmatchcase(path if "/" in pattern else name, pattern.rstrip("/"))
            for pattern in self.excludes
        )

    def is_hidden(self, status: os.stat_result) -> bool:
        """Tell whether an entry is left out by its identity."""
        return (status.st_dev, status.st_ino) in self.hidden


EVERYTHING = Rules()


def rules_of(snapshot: Snapshot) -> Rules:
    """Give what a snapshot left out, for looking at its folder as it is now.

    Raises:
        OSError: If the folder is not there, and its device is needed.
    """
    device = Path(snapshot.source).stat().st_dev if snapshot.is_one_file_system else None
    return Rules(excludes=snapshot.excludes, device=device)


def left_out(
    folder: Path, rules: Rules, *, within: str = "", on_error: Callable[[OSError], None]
) -> Iterator[str]:
    """Name what rules leave out below a folder, the topmost of each, as paths from it on.

    Of what is resile's own only what is hidden is named.

    Args:
        folder: Which.
        rules: What is left out.
        within: Where the folder is, from the source on: patterns with a `/` go by that.
        on_error: Called where a folder cannot be read; what it raises ends it.
    """
    waiting = [""] if rules != EVERYTHING else []
    while waiting:
        below = waiting.pop()
        try:
            found = _statuses(folder / below)
        except FileNotFoundError:
            continue
        except OSError as exc:
            on_error(exc)
            continue
        where = f"{within}/{below}".strip("/")
        for name, status in found:
            path = f"{below}/{name}" if below else name
            if not rules.leave_out(where, name, status):
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
            elif not name.startswith(PRIVATE_PREFIX) or rules.is_hidden(status):
                yield path


def scan(fd: int, folder: str, rules: Rules) -> Scan:
    """Read an open folder.

    This is what a snapshot without a change spends its time on: 3 us for each entry, two of them the
    kernel's. What only a folder that changed needs is made when it is asked for.

    Raises:
        OSError: If it cannot be read.
    """
    found = _kept(_statuses(fd), folder, rules)
    found.sort()
    names = _names(found)
    if not names.isascii():
        found.sort(key=_name_bytes)
        names = _names(found)
    facts = [facts_of(status) for _, status in found]
    text = _encode(names, facts)
    return Scan(
        found=found,
        facts=facts,
        folders=[
            Row(name, status, one)
            for (name, status), one in zip(found, facts, strict=True)
            if one[0] & _TYPE == _FOLDER
        ],
        text=text,
        digest=_digest(text),
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


def encode_facts(found: Scan, now_ns: int) -> tuple[bytes, bool]:
    """Write the facts of a folder's entries; tell whether all of them can be relied on.

    What changed just before it was looked at is written without its ctime, so that it never
    looks as before.
    """
    times = (max(map(itemgetter(place), found.facts), default=0) for place in (MTIME, CTIME))
    if max(times) <= now_ns - _COARSE_TICK_NS:
        return found.digest + found.text, True
    known: dict[str, Facts] = {}
    is_lasting = True
    for (name, status), one in zip(found.found, found.facts, strict=True):
        known[name] = one
        if is_recent(status, now_ns):
            is_lasting = False
            mode, uid, gid, size, mtime_ns, _, inode, links = one
            known[name] = (mode, uid, gid, size, mtime_ns, 0, inode, links)
    return write_facts(known), is_lasting


def write_facts(known: Mapping[str, Facts]) -> bytes:
    """Write the facts of entries by their names, with a sum."""
    text = _encode(_BETWEEN.join(known), list(known.values()))
    return _digest(text) + text


def decode_facts(data: bytes | None) -> dict[str, Facts]:
    """Read them; none if they are damaged: then everything is read again."""
    if data is None or _digest(data[_DIGEST_BYTES:]) != data[:_DIGEST_BYTES]:
        return {}
    names, facts = marshal.loads(data[_DIGEST_BYTES:])  # noqa: S302 - whole, from the user's own cache
    return dict(zip(os.fsdecode(names).split(_BETWEEN), facts, strict=False))


def _statuses(folder: int | Path) -> list[Found]:
    with os.scandir(folder) as entries, contextlib.suppress(FileNotFoundError):
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            # It went in between, as anything may at any time.
            with contextlib.suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False)))
    return found


def _kept(found: list[Found], folder: str, rules: Rules) -> list[Found]:
    """Leave out what the rules do; mostly that is nothing, which is seen at once."""
    inodes = {inode for _, inode in rules.hidden}
    if (
        not rules.excludes
        and rules.device is None
        and PRIVATE_PREFIX not in _names(found)
        and inodes.isdisjoint([status.st_ino for _, status in found])
    ):
        return found
    return [one for one in found if not rules.leave_out(folder, *one)]


def _names(found: list[Found]) -> str:
    return _BETWEEN.join([name for name, _ in found])


def _name_bytes(found: Found) -> bytes:
    return os.fsencode(found[0])


def _encode(names: str, facts: list[Facts]) -> bytes:
    # Version 2 has no references, which would depend on what else is in memory.
    return marshal.dumps((os.fsencode(names), facts), 2)


def _digest(text: bytes) -> bytes:
    return blake3(text).digest(_DIGEST_BYTES)
