"""Processes that share out work: what Python does in threads waits for one lock.

A worker is a process of its own, started anew: forking a program that has threads is no good. Tasks
and answers go over a pair of sockets, as plain values that `marshal` writes; nothing of a store is
ever read in this way but by the worker itself. `working` is the other side.
"""

import contextlib
import os
import queue
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from socket import socketpair
from types import TracebackType
from typing import Self

from resile.core.helper import start_helper
from resile.store.working import Plain, error_of, gone, receive, send

WORKERS = 2
"""Two processes use two cores; more would take more memory."""


class Worker:
    """One process that does one task at a time. Not thread-safe; to be closed.

    It ends by itself when this process ends, in whatever way, and does not hear Ctrl-C.

    Args:
        place: `module:function` of what works: the function gets `setup` and gives a function that
            does one task.
        setup: Plain, and told to nobody else: it may hold a key.
        kept_fds: Descriptors that it inherits under the same number.

    Raises:
        SpawnError: If it could not be started.
    """

    def __init__(self, place: str, setup: Plain, *, kept_fds: Sequence[int] = ()) -> None:
        ours, theirs = socketpair()
        try:
            with theirs:
                fd = theirs.fileno()
                # -P: nothing is taken from the folder in which the user happens to stand.
                argv = [sys.executable, "-P", "-m", "resile.store.working", str(fd)]
                self._process = start_helper(
                    argv, kept_fds=(fd, *kept_fds), env={"PYTHONPATH": _search_path()}
                )
        except BaseException:
            ours.close()
            raise
        self._channel = ours
        self._is_ready = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(ours, (place, setup))  # It prepares itself while we do something else.

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def call(self, task: Plain) -> Plain:
        """Have a task done, and wait for the answer.

        Raises:
            OperationError: If the worker has ended; transient.
            ResileError, OSError: What the task failed with, or getting ready for it.
            AssertionError: If it failed by a fault of ours.
        """
        if not self._is_ready:
            self._take()
            self._is_ready = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self._channel, task)
        return self._take()

    def stop(self) -> None:
        """Have it give up its task and end, after it has removed what is in part. Does not wait.

        A `call` of another thread fails then.
        """
        self._process.terminate()

    def close(self) -> None:
        """End it, and wait until it is gone. Idempotent."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _take(self) -> Plain:
        """Wait for an answer; raise it if it is a failure."""
        try:
            is_done, answer = receive(self._channel)
        except (EOFError, ConnectionResetError):
            raise gone(self._process.wait()) from None
        if not is_done:
            raise error_of(answer)
        return answer


class Workers:
    """Several workers of one kind, which take tasks by turns. Safe to share between threads.

    A context manager: what is not begun at its end is given up; after a failure, all is.

    Args: As `Worker`.
        count: How many.

    Raises:
        SpawnError: If one could not be started; none is left then.
    """

    def __init__(
        self, place: str, setup: Plain, *, kept_fds: Sequence[int] = (), count: int = WORKERS
    ) -> None:
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        with contextlib.ExitStack() as stack:
            self._all = []
            for _ in range(count):
                worker = Worker(place, setup, kept_fds=kept_fds)
                stack.callback(worker.close)
                self._all.append(worker)
                self._idle.put(worker)
            self._threads = ThreadPoolExecutor(count, "resile-worker")
            self._stack = stack.pop_all()

    def submit(self, task: Plain) -> "Future[Plain]":
        """Have a task done by the worker that is free next; what must wait is kept in memory.

        The future gives the answer, or raises as `Worker.call`. Whoever has many big tasks waits
        for some before giving more.
        """
        return self._threads.submit(self._call, task)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all of them; after a failure they give up what they do."""
        with self._stack:
            if kind is not None:
                for worker in self._all:
                    worker.stop()
            self._threads.shutdown(cancel_futures=True)

    def _call(self, task: Plain) -> Plain:
        worker = self._idle.get()
        try:
            return worker.call(task)
        finally:
            self._idle.put(worker)


def _search_path() -> str:
    """Give where Python looks for modules; an empty entry would be the folder that we stand in."""
    return os.pathsep.join(path for path in sys.path if path)
