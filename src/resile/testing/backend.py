"""A backend of a store that fails, lies or crashes at a chosen call.

To try every crash point of whatever writes into a store:

    for step in itertools.count(1):
        place = MemoryBackend()
        try:
            write_something(FaultyBackend(place, crash_at=step))
        except Crash:
            assert ...                      # what the next process finds in `place`
        else:
            break                           # there are fewer calls than `step`
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from resile.errors import StoreError
from resile.store.backends import Backend, StoredFile, Upload
from resile.testing.files import Crash

_T = TypeVar("_T")


class FaultyBackend:
    """A backend whose n-th call crashes, fails or lies. Safe to share between threads.

    Every call counts but `abandon`, which does what it does everywhere: throw away.

    Args:
        backend: What does the work.
        crash_at: Raise `Crash` in place of this call (1-based) and of every later one, as the
            process is dead; 0 means never.
        fail_at: Raise `error` at this call, once; 0 means never.
        is_done: True: the call that fails is carried out first, as when an answer is lost.
        lie_at: If this call is a write, claim it done and write zeros; 0 means never.
        error: What `fail_at` raises. Default: a transient StoreError.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        crash_at: int = 0,
        fail_at: int = 0,
        is_done: bool = False,
        lie_at: int = 0,
        error: StoreError | None = None,
    ) -> None:
        self.calls: list[str] = []
        """What was called: the method, and the name if there is one."""
        self._backend = backend
        self._crash_at = crash_at
        self._fail_at = fail_at
        self._is_done = is_done
        self._lie_at = lie_at
        self._error = error or StoreError(
            "the place failed", hint="it was told to", is_transient=True
        )
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where the other one is."""
        return self._backend.url

    @property
    def is_read_back(self) -> bool:
        """As of the other one."""
        return self._backend.is_read_back

    def begin(self) -> "FaultyUpload":
        """Begin a new file."""
        return FaultyUpload(self, self.call("begin", self._backend.begin))

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file."""
        return self.call(f"read {name}", lambda: self._backend.read(name, offset, length))

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List a folder."""
        return self.call(f"list {folder}".strip(), lambda: self._backend.list(folder))

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.call(f"remove {name}", lambda: self._backend.remove(name))

    def copy(self, source: str, target: str) -> None:
        """Give a file a second name."""
        self.call(f"copy {source} {target}", lambda: self._backend.copy(source, target))

    def move(self, source: str, target: str) -> None:
        """Give a file another name."""
        self.call(f"move {source} {target}", lambda: self._backend.move(source, target))

    @contextmanager
    def hold(self, *, is_exclusive: bool) -> Iterator[None]:
        """Keep others out; let go without a call, as the kernel does."""
        self.call("hold", lambda: None)
        with self._backend.hold(is_exclusive=is_exclusive):
            yield

    def sweep(self) -> int:
        """Remove what dead processes left."""
        return self.call("sweep", self._backend.sweep)

    def call(self, what: str, work: Callable[[], _T], *, lie: Callable[[], _T] | None = None) -> _T:
        """Count a call, and do it unless it is to fail.

        Args:
            what: Its name in `calls`.
            work: What it does.
            lie: What it does instead if it is to lie; None: it cannot.

        Raises:
            Crash: If the process is dead.
            StoreError: If it is told to fail.
        """
        with self._lock:
            self.calls.append(what)
            number = len(self.calls)
        if 0 < self._crash_at <= number:
            raise Crash(f"crashed at call {number}: {what}")
        if number == self._fail_at:
            if self._is_done:
                work()
            raise self._error
        return lie() if lie and number == self._lie_at else work()


class FaultyUpload:
    """An upload of a FaultyBackend. Not thread-safe."""

    def __init__(self, backend: FaultyBackend, upload: Upload) -> None:
        self._backend = backend
        self._upload = upload

    def write(self, data: bytes) -> None:
        """Append, or claim to have."""
        self._backend.call(
            "write",
            lambda: self._upload.write(data),
            lie=lambda: self._upload.write(bytes(len(data))),
        )

    def publish(self, name: str) -> bool:
        """Give it a name."""
        return self._backend.call(f"publish {name}", lambda: self._upload.publish(name))

    def abandon(self) -> None:
        """Throw it away."""
        self._upload.abandon()
