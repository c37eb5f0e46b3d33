"""Snapshots of one folder for many who ask at once: one that begins after they asked serves them all."""

import threading
from collections.abc import Callable

from resile.store import CHECKPOINT_TAG, Taken

Take = Callable[[tuple[str, ...]], Taken]


class Together:
    """Joins those who wait. Safe to share between threads.

    Whoever comes while a snapshot is being taken waits for the next one, which is called by the tags of
    all who wait for it. What is to stay is never taken together with checkpoints, which go.

    Args:
        take: Takes a snapshot that is called so; called by one thread at a time.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: dict[bool, _Batch] = {}

    def take(self, tags: tuple[str, ...]) -> Taken:
        """Take one, or wait for the one that somebody takes for us, too.

        Raises:
            ResileError: If there is none; everybody who waited for it gets that.
            OSError: Likewise.
        """
        is_checkpoint = CHECKPOINT_TAG in tags
        with self._lock:
            batch = self._waiting.setdefault(is_checkpoint, _Batch())
            batch.tags.update(dict.fromkeys(tags))
        with self._turn:
            if not batch.is_over:
                with self._lock:
                    del self._waiting[is_checkpoint]
                batch.run(self._take)
        return batch.result()


class _Batch:
    """Those who wait for one snapshot. `run` and `result` by whoever has the turn, or had it."""

    def __init__(self) -> None:
        self.tags: dict[str, None] = {}
        self._taken: Taken | None = None
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether it was taken, or could not be."""
        return self._taken is not None or self._error is not None

    def run(self, take: Take) -> None:
        """Take it, and keep what came of it."""
        try:
            self._taken = take(tuple(self.tags))
        except Exception as exc:  # noqa: BLE001 - everybody who waits raises it
            self._error = exc

    def result(self) -> Taken:
        """Give what came of it."""
        if self._taken is None:
            raise self._error or AssertionError("nobody took it")
        return self._taken
