"""Writes a file's content from its blobs, holes kept, and compares the length."""

import os

from resile.errors import StoreDamagedError
from resile.store.model import Entry
from resile.store.restore.model import Blobs
from resile.store.restore.tally import Tally


def write_content(fd: int, entry: Entry, reader: Blobs, tally: Tally) -> None:
    """Fill an empty file.

    Raises:
        StoreDamagedError: If a blob is missing or damaged, or all are not as long as the file.
        OSError: If it could not be written.
    """
    if entry.extents is None:
        _write_through(fd, entry, reader, tally)
    else:
        os.ftruncate(fd, entry.size)
        _write_extents(fd, entry, reader, tally)


def wrong_length() -> StoreDamagedError:
    """Make the error for blobs that are not as long as their file."""
    return StoreDamagedError("its content has another length than the file")


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, where a call may write less."""
    written = os.write(fd, data)
    if written != len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(fd, view[written:])


def _write_through(fd: int, entry: Entry, reader: Blobs, tally: Tally) -> None:
    left = entry.size
    for chunk in reader.chunks(entry):
        data = reader.read_blob(chunk)
        left -= len(data)
        if left < 0:
            raise wrong_length()
        write_all(fd, data)
        tally.add(size=len(data))
    if left:
        raise wrong_length()


def _write_extents(fd: int, entry: Entry, reader: Blobs, tally: Tally) -> None:
    """Spread the blobs, which follow each other, over the parts of the file that are no holes."""
    extents = iter([one for one in entry.extents or () if one[1]])
    start = end = 0
    for chunk in reader.chunks(entry):
        data = memoryview(reader.read_blob(chunk))
        tally.add(size=len(data))
        while data:
            if start == end:
                start, length = next(extents, (0, 0))
                end = start + length
                if not length:
                    raise wrong_length()
            written = os.pwrite(fd, data[: end - start], start)
            start += written
            data = data[written:]
    if start != end or next(extents, None) is not None:
        raise wrong_length()
