"""Snapshots of one folder for many who ask at once: one that begins after they asked serves them all."""

import math
import threading
from collections.abc import Callable

from resile.store import CHECKPOINT_TAG, Taken

Take = Callable[[tuple[str, ...], float], Taken]


class Together:
    """Joins those who wait. Safe to share between threads.

    Whoever comes while a snapshot is being taken waits for the next one, which is called by the tags of
    all who wait for it. What is to stay is never taken together with checkpoints, which go.

    Args:
        take: Takes a snapshot that is called so, or gives one that is not older than so many seconds
            and holds the same; called by one thread at a time.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: dict[bool, _Batch] = {}

    def take(self, tags: tuple[str, ...], *, reuse_within_s: float = 0.0) -> Taken:
        """Take one, or wait for the one that somebody takes for us, too.

        Args:
            tags: What to call it.
            reuse_within_s: An earlier one will do if it is not older than this. Of those who wait
                together, the one who bears the least age decides.

        Raises:
            ResileError: If there is none; everybody who waited for it gets that.
            OSError: Likewise.
        """
        is_checkpoint = CHECKPOINT_TAG in tags
        with self._lock:
            batch = self._waiting.setdefault(is_checkpoint, _Batch())
            batch.join(tags, reuse_within_s)
        with self._turn:
            if not batch.is_over:
                with self._lock:
                    del self._waiting[is_checkpoint]
                batch.run(self._take)
        return batch.result()


class _Batch:
    """Those who wait for one snapshot. `run` and `result` by whoever has the turn, or had it."""

    def __init__(self) -> None:
        self._tags: dict[str, None] = {}
        self._reuse_within_s = math.inf
        self._taken: Taken | None = None
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether it was taken, or could not be."""
        return self._taken is not None or self._error is not None

    def join(self, tags: tuple[str, ...], reuse_within_s: float) -> None:
        """Wait for it, too. By whoever has the lock, as long as nobody runs it."""
        self._tags.update(dict.fromkeys(tags))
        self._reuse_within_s = min(self._reuse_within_s, reuse_within_s)

    def run(self, take: Take) -> None:
        """Take it, and keep what came of it."""
        try:
            self._taken = take(tuple(self._tags), self._reuse_within_s)
        except Exception as exc:  # noqa: BLE001 - everybody who waits raises it
            self._error = exc

    def result(self) -> Taken:
        """Give what came of it."""
        if self._taken is None:
            raise self._error or AssertionError("nobody took it")
        return self._taken
