"""Remove the files that are declared prunable: only what is declared, and never through a link.

Each folder on the way is opened by its name in the one before, and is refused if it is a link. So a service that
replaces one of its folders by a link to somewhere else leads nobody there. Nor does what is mounted below a
folder go with it, which frees nothing on the disk that is full, nor what resile itself keeps.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from resile.core.config import Config
from resile.core.trees import FOLDER_FLAGS, mount_of, status_of

DEPTH_MAX = 32
FILES_MAX = 100_000
"""Removed at one time; what is left goes the next time."""

_Id = tuple[int, int]
"""Device and inode of a folder."""


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


def kept_of(config: Config, *, state: Path) -> tuple[Path, ...]:
    """List the folders of which nothing goes, whatever is declared: the state folder and the stores."""
    places = (config.store.place, config.store.replica)
    local = (place.removeprefix("file://") for place in places)
    return (state, *(Path(place) for place in local if place.startswith("/")))


def prune(prunables: Sequence[Prunable], *, kept: Sequence[Path] = ()) -> Pruned:
    """Remove what is declared. What cannot be removed stays; idempotent.

    Args:
        prunables: What is declared.
        kept: Folders of which nothing goes.
    """
    pruned = Pruned()
    never = frozenset(_ids_of(kept))
    for one in prunables:
        with contextlib.suppress(OSError):  # It is not there, or may not be entered.
            fd = os.open(one.folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
            try:
                for freed_bytes in _prune_below(fd, one.parts, 0, never):
                    pruned += Pruned(files=1, freed_bytes=freed_bytes)
                    if pruned.files >= FILES_MAX:
                        return pruned
            finally:
                os.close(fd)
    return pruned


def _ids_of(folders: Sequence[Path]) -> Iterator[_Id]:
    for folder in folders:
        with contextlib.suppress(OSError):
            status = folder.stat()
            yield status.st_dev, status.st_ino


def _prune_below(
    folder_fd: int, parts: tuple[str, ...], depth: int, never: frozenset[_Id]
) -> Iterator[int]:
    """Yield the size of each file that was removed in a folder. No parts: all below it."""
    own = os.fstat(folder_fd)
    if (own.st_dev, own.st_ino) in never:
        return
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
            with _entered(folder_fd, name, is_named=parts[:1] == (name,)) as fd:
                if fd is not None:
                    yield from _prune_below(fd, parts[1:], depth + 1, never)


@contextlib.contextmanager
def _entered(folder_fd: int, name: str, *, is_named: bool) -> Iterator[int | None]:
    """Open a folder; None where it may not be: only one that is named in full may be a mount."""
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    except OSError:  # It became a link, or may not be entered.
        yield None
        return
    try:
        yield fd if is_named or mount_of(fd) == mount_of(folder_fd) else None
    finally:
        os.close(fd)


def _is_removed(folder_fd: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except OSError:
        return False
    return True
