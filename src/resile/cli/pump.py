"""Prints what a command prints, from a thread of its own: a reader that stops must not stop the limits."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

CHUNKS_MAX = 256
"""Of 64 KiB at most: what may wait for a slow reader. Then the command waits, too."""
_CLOSE_STEP_S = 0.2


class Pump:
    """Takes output and prints it in its order. `put` and `has_room` are for one thread.

    Args:
        on_error: Told once, in words, when nothing can be printed any more.
    """

    def __init__(self, on_error: Callable[[str], None]) -> None:
        self._on_error = on_error
        self._queue: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._is_broken = False
        self._thread = threading.Thread(target=self._work, name="resile-output", daemon=True)
        self._thread.start()

    def put(self, stream: str, chunk: bytes) -> None:
        """Take a piece of `stdout` or `stderr`. Does not block."""
        if not self._is_broken:
            self._queue.put((stream, chunk))

    def has_room(self) -> bool:
        """Tell whether more should be taken from the command."""
        return self._is_broken or self._queue.qsize() < CHUNKS_MAX

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print what is left. Blocks until it is read; Ctrl-C ends that."""
        self._queue.put(None)
        while self._thread.is_alive():
            self._thread.join(_CLOSE_STEP_S)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            stream, chunk = item
            out = sys.stdout if stream == "stdout" else sys.stderr
            if self._is_broken or out is None:
                continue
            try:
                out.buffer.write(chunk)
                out.buffer.flush()
            except (OSError, ValueError) as exc:
                self._is_broken = True
                with contextlib.suppress(OSError):
                    self._on_error(f"{stream} cannot be written: {exc}")
