"""Has the disk write what a restore has made while the rest is still being made.

The kernel would begin only after half a minute, or when a tenth of the memory waits; and the end of a restore,
which makes all of it durable, would wait for the disk with idle processors (2 s of 5 s for 1 GB, measured).
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from resile.core.kernel import sync_file_system

_EVERY_S = 0.25
"""Between two times; whatever takes less than this does without."""


@contextlib.contextmanager
def writing_early(fd: int, sync: Callable[[int], None] = sync_file_system) -> Iterator[None]:
    """Sync the file system of an open folder now and then; the caller syncs it at the end.

    Raises:
        OSError: At the end, if the disk refused: it tells that only once, so a later sync would not.
    """
    is_over = threading.Event()
    failures: list[OSError] = []

    def work() -> None:
        try:
            while not is_over.wait(_EVERY_S):
                sync(fd)
        except OSError as exc:
            failures.append(exc)

    thread = threading.Thread(target=work, name="resile-early-sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if failures:
        raise failures[0]
