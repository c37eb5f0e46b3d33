"""Remove the files that are declared prunable: only what is declared, and never through a link.

Each folder on the way is opened by its name in the one before, and is refused if it is a link. So a service that
replaces one of its folders by a link to somewhere else leads nobody there.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from resile.core.config import Config
from resile.core.trees import FOLDER_FLAGS, status_of

DEPTH_MAX = 32
FILES_MAX = 100_000
"""Removed at one time; what is left goes the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """Files that may go at any time.

    Args:
        folder: Where the pattern begins; it is used as it is, links included.
        pattern: Names of folders and, last, of files; `*`, `?` and `[...]` stand for parts of one name. A
            folder at its end stands for all files below it.
    """

    folder: Path
    pattern: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the pattern, in order."""
        return PurePosixPath(self.pattern).parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed."""

    files: int = 0
    freed_bytes: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        return Pruned(
            files=self.files + other.files, freed_bytes=self.freed_bytes + other.freed_bytes
        )


def prunables_of(config: Config, *, folder: Path) -> tuple[Prunable, ...]:
    """List what is declared prunable.

    Args:
        config: What is declared.
        folder: Of `resile.toml`.
    """
    found = [_prunable(folder, pattern) for pattern in config.resile.prunable]
    for service in config.service.values():
        found += [_prunable(service.cwd, pattern) for pattern in service.prunable]
    return tuple(found)


def _prunable(folder: Path, pattern: str) -> Prunable:
    is_absolute = pattern.startswith("/")
    return Prunable(folder=Path("/") if is_absolute else folder, pattern=pattern.lstrip("/"))


def prune(prunables: Sequence[Prunable]) -> Pruned:
    """Remove what is declared. What cannot be removed stays; idempotent."""
    pruned = Pruned()
    for one in prunables:
        with contextlib.suppress(OSError):  # It is not there, or may not be entered.
            fd = os.open(one.folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
            try:
                for freed_bytes in _prune_below(fd, one.parts, 0):
                    pruned += Pruned(files=1, freed_bytes=freed_bytes)
                    if pruned.files >= FILES_MAX:
                        return pruned
            finally:
                os.close(fd)
    return pruned


def _prune_below(folder_fd: int, parts: tuple[str, ...], depth: int) -> Iterator[int]:
    """Yield the size of each file that was removed in a folder. No parts: all below it."""
    for name in sorted(os.listdir(folder_fd)):
        if parts and not fnmatchcase(name, parts[0]):
            continue
        status = status_of(folder_fd, name)
        if status is None:
            continue
        if stat.S_ISREG(status.st_mode) and len(parts) <= 1:
            if _is_removed(folder_fd, name):
                yield status.st_blocks * 512 if status.st_nlink == 1 else 0
        elif stat.S_ISDIR(status.st_mode) and depth < DEPTH_MAX:
            yield from _prune_folder(folder_fd, name, parts[1:], depth)


def _prune_folder(folder_fd: int, name: str, parts: tuple[str, ...], depth: int) -> Iterator[int]:
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    except OSError:  # It became a link, or may not be entered.
        return
    try:
        yield from _prune_below(fd, parts, depth + 1)
    finally:
        os.close(fd)


def _is_removed(folder_fd: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except OSError:
        return False
    return True
