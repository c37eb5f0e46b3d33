"""Paths within a snapshot."""

from collections.abc import Iterator

from resile.errors import ConfigError, StoreDamagedError
from resile.store.model import DEPTH_MAX, Entry, EntryType
from resile.store.repository import Repository
from resile.store.restore.model import Reader

_PIECE_BYTES = 1 << 20


def find_path(repository: Reader, root: Entry, path: bytes) -> Entry:
    """Find an entry by its path from the source on; `.` and nothing are the source itself.

    Raises:
        ConfigError: If there is none.
        StoreDamagedError: If a folder on the way cannot be read.
    """
    entry = root
    for name in path_parts(path):
        found = None
        if entry.type is EntryType.FOLDER:
            found = next((e for e in repository.tree(entry.tree) if e.name == name), None)
        if found is None:
            text = path.decode("utf-8", "backslashreplace")
            raise ConfigError(
                f"{text!r} is not in this snapshot", hint="list what is: resile ls ID [PATH]"
            )
        entry = found
    return entry


def path_parts(path: bytes) -> list[bytes]:
    """Split a path from the source on.

    Raises:
        ConfigError: If it leads out of it.
    """
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ConfigError("a path in a snapshot has no `..`", hint="write it from its source on")
    return parts


def walk_entries(
    repository: Repository, folder: Entry, path: bytes = b""
) -> Iterator[tuple[bytes, Entry]]:
    """Give every entry below a folder with its path, each folder before what is in it.

    Raises:
        StoreDamagedError: If a folder cannot be read, or they nest deeper than any snapshot's do.
    """
    check_depth(path)
    for entry in repository.tree(folder.tree):
        below = path + b"/" + entry.name if path else entry.name
        yield below, entry
        if entry.type is EntryType.FOLDER:
            yield from walk_entries(repository, entry, below)


def check_depth(path: bytes) -> None:
    """Refuse a folder that no snapshot has: a store may be forged to exhaust its reader.

    Raises:
        StoreDamagedError: If it is too deep.
    """
    if path.count(b"/") >= DEPTH_MAX:
        raise StoreDamagedError(f"folders nest deeper than {DEPTH_MAX} in this snapshot")


def read_file(repository: Repository, entry: Entry) -> Iterator[bytes]:
    """Give a file's content, holes as zeros, in pieces of at most 4 MiB.

    Raises:
        StoreDamagedError: If some of it is missing or damaged.
    """
    data = (repository.read_blob(chunk) for chunk in repository.chunks(entry))
    if entry.extents is None:
        yield from data
        return
    end, held = 0, b""
    for offset, length in entry.extents:
        yield from _zeros(offset - end)
        left = length
        while left:
            held = held or next(data, b"")
            if not held:
                raise StoreDamagedError(f"{entry.name!r} has less content than it should")
            piece, held = held[:left], held[left:]
            left -= len(piece)
            yield piece
        end = offset + length
    yield from _zeros(entry.size - end)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, _PIECE_BYTES))
        count -= _PIECE_BYTES
