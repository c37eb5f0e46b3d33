"""A store in memory: for tests, and for trying things out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import StoreDamagedError
from resile.store.backends._hold import wait_until_free
from resile.store.backends.names import check_folder, check_name
from resile.store.backends.port import StoredFile


class MemoryBackend:
    """Files in a dictionary; gone with the object. Safe to share between threads.

    Args:
        clock: Stamps the files, and measures how long a hold is waited for.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._files: dict[str, tuple[bytes, datetime]] = {}
        self._count_shared = 0
        self._is_exclusive = False

    def __repr__(self) -> str:
        return "MemoryBackend()"

    @property
    def url(self) -> str:
        """The same for all of them."""
        return "memory:"

    @property
    def is_read_back(self) -> bool:
        """Nobody compares what is here."""
        return True

    def begin(self) -> "MemoryUpload":
        """Begin a new file."""
        return MemoryUpload(self)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file, or a range of it."""
        check_name(name)
        with self._lock:
            found = self._files.get(name)
        if found is None:
            raise StoreDamagedError(f"{name} is missing in {self.url}", name=name)
        return found[0][offset:] if length is None else found[0][offset : offset + length]

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List a folder as it is at this moment."""
        check_folder(folder)
        with self._lock:
            files = list(self._files.items())
        return iter(
            [
                StoredFile(name=name, size_bytes=len(data), modified_at=at)
                for name, (data, at) in files
                if name.rpartition("/")[0] == folder
            ]
        )

    def remove(self, name: str) -> None:
        """Remove a file."""
        check_name(name)
        with self._lock:
            self._files.pop(name, None)

    def copy(self, source: str, target: str) -> None:
        """Give a file a second name."""
        check_name(source)
        check_name(target)
        with self._lock:
            if source in self._files:
                self._files[target] = (self._files[source][0], self._clock.now())

    def move(self, source: str, target: str) -> None:
        """Give a file another name."""
        check_name(source)
        check_name(target)
        with self._lock:
            if source in self._files:
                self._files[target] = (self._files.pop(source)[0], self._clock.now())

    @contextmanager
    def hold(self, *, is_exclusive: bool) -> Iterator[None]:
        """Keep other threads from holding it; waits up to 10 s for them."""
        wait_until_free(
            lambda: self._take(is_exclusive=is_exclusive),
            holder=lambda: "another thread",
            clock=self._clock,
        )
        try:
            yield
        finally:
            with self._lock:
                self._count_shared -= not is_exclusive
                self._is_exclusive = self._is_exclusive and not is_exclusive

    def sweep(self) -> int:
        """Nothing outlives the process that wrote it."""
        return 0

    def insert(self, name: str, data: bytes) -> bool:
        """Put a whole file under a name; False if it is taken."""
        check_name(name)
        with self._lock:
            is_new = name not in self._files
            if is_new:
                self._files[name] = (data, self._clock.now())
            return is_new

    def _take(self, *, is_exclusive: bool) -> bool:
        with self._lock:
            if self._is_exclusive or (is_exclusive and self._count_shared):
                return False
            self._is_exclusive = is_exclusive
            self._count_shared += not is_exclusive
            return True


class MemoryUpload:
    """A file that is being written. Not thread-safe."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes) -> None:
        """Append."""
        self._open_data().extend(data)

    def publish(self, name: str) -> bool:
        """Give it a name; False if it was taken."""
        check_name(name)
        is_new = self._backend.insert(name, bytes(self._open_data()))
        self._data = None
        return is_new

    def abandon(self) -> None:
        """Throw it away."""
        self._data = None

    def _open_data(self) -> bytearray:
        if self._data is None:
            raise AssertionError("the upload has ended")
        return self._data
