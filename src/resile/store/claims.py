"""Which blobs a session has taken on, as all of its threads and processes know it."""

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resile.store.model import ID_BYTES

SLOTS = 1 << 18
"""8 MB where all are in use: enough for every blob of four packs of small files."""
_SIZE_BYTES = SLOTS * ID_BYTES
EMPTY = bytes(ID_BYTES)


class Claims:
    """A table in memory: each id has one place in it, which the last one keeps.

    Safe to share between threads, which never take on the same blob. Two processes that meet one
    within the same microsecond may both store it, which costs its space and nothing else: nobody
    has to wait for a lock.

    Args:
        fd: What `shared_table` gave, here or in another process. Default: a table for this process.
    """

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd
        self._table = mmap.mmap(fd, _SIZE_BYTES)
        self._lock = threading.Lock()

    def take(self, blob_id: bytes) -> bytes:
        """Take a blob on; give what stood in its place.

        That is its own id if somebody has taken it on; `EMPTY` if nobody has; another id if it may
        have been forgotten.
        """
        begin = int.from_bytes(blob_id[:4], "little") % SLOTS * ID_BYTES
        end = begin + ID_BYTES
        with self._lock:
            before = self._table[begin:end]
            self._table[begin:end] = blob_id
        return before


@contextmanager
def shared_table() -> Iterator[int]:
    """Make an empty table that other processes can open; give its descriptor, closed at the end."""
    fd = os.memfd_create("resile-claims")
    try:
        os.truncate(fd, _SIZE_BYTES)
        yield fd
    finally:
        os.close(fd)
