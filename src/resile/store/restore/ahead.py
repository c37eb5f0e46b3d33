"""Reads blobs before the writer asks for them, in a thread beside it."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

from resile.errors import ResileError
from resile.store.model import Entry
from resile.store.restore.model import Blobs

_AHEAD_MAX = 4
"""Blobs, each of a frame of its own: a third of the frames that a store keeps decoded."""
_LOOK_EVERY_S = 1.0
"""Bounds each wait; the writer wakes the reader long before."""


class ReadAhead:
    """Has blobs read, and so their frames decoded, a little before the writer needs them.

    Two writers would be no quicker than one: they make very many short calls, and hand the
    interpreter's lock to and fro (50,010 files: 3.5 s with two, 3.6 s with one). Decoding is a
    third of the work, and its calls are long and leave the lock.

    Args:
        reader: What reads, and remembers what it decoded.
        blob_ids: In the order in which they will be needed; of several that share a frame, one.
    """

    def __init__(self, reader: Blobs, blob_ids: Sequence[bytes]) -> None:
        self._reader = reader
        self._ids = list(dict.fromkeys(blob_ids))
        self._index = {blob_id: n for n, blob_id in enumerate(self._ids)}
        self._position = 0
        self._is_over = False
        self._moved = threading.Condition()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Read ahead for as long as this lasts."""
        thread = threading.Thread(target=self._run, name="resile-read-ahead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._moved:
                self._is_over = True
                self._moved.notify()
            thread.join()

    def chunks(self, entry: Entry) -> Sequence[bytes]:
        """Give the ids of a file's blobs, in order."""
        return self._reader.chunks(entry)

    def read_blob(self, blob_id: bytes) -> bytes:
        """Read a blob for the writer, and learn how far it is."""
        index = self._index.get(blob_id)
        if index is not None:
            with self._moved:
                self._position = max(self._position, index)
                self._moved.notify()
        return self._reader.read_blob(blob_id)

    def _run(self) -> None:
        for index, blob_id in enumerate(self._ids):
            with self._moved:
                while not self._is_over and index > self._position + _AHEAD_MAX:
                    self._moved.wait(_LOOK_EVERY_S)
                is_late = index < self._position
                if self._is_over:
                    return
            if not is_late:
                # What fails here fails again where the writer needs it, and is told there.
                with contextlib.suppress(ResileError):
                    self._reader.read_blob(blob_id)
