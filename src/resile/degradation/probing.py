"""Look whether services that are down work again: in threads, or on the user's event loop.

A service is probed by one probe at a time. One that hangs counts as failed when its time is over
and is not asked again before it has come back, since a thread cannot be killed.
"""

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Final

from resile.core.clock import Clock
from resile.degradation import decide
from resile.degradation.book import Book, Entry
from resile.degradation.workers import Worker
from resile.policies.classify import written
from resile.policies.context import deadline_after

LOOK_EVERY_S: Final = 0.5
"""How late something is noticed that tells nobody: a breaker whose open time is over."""
NO = "the probe gave False"
HANGS = "the probe gives no answer"


class Prober:
    """Probes the services of one manager. Safe to share between threads.

    Args:
        book: The services.
        clock: For when a probe is due.
        chores: Done at each look, such as having written what a journal could not take. Quick.
        is_background: Starts threads by itself. Else `step` is called by somebody.
    """

    def __init__(
        self, book: Book, *, clock: Clock, chores: Callable[[], None], is_background: bool
    ) -> None:
        self._book = book
        self._clock = clock
        self._chores = chores
        self._is_background = is_background
        self._workers: dict[str, Worker] = {}
        self._hanging_at_s: dict[str, float] = {}
        """When the time of each probe in flight is over."""
        self._watchers = 0
        """Event loops that probe; while there is one, no thread does."""
        self._is_closed = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork, without the parent's threads and probes."""
        self._changed = threading.Condition(threading.Lock())
        self._looker: threading.Thread | None = None
        self._hanging_at_s.clear()
        self._watchers = 0
        for worker in self._workers.values():
            worker.renew()

    def wake(self) -> None:
        """Look again: something is down, or due earlier."""
        if not self._is_background or self._is_closed:
            return
        with self._changed:
            if self._looker is None and not self._watchers and self._next_s() < inf:
                thread = threading.Thread(target=self._look, name="resile-probes", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return  # The machine, or the end of the process, forbids it: calls go on.
                self._looker = thread
            self._changed.notify_all()

    def step(self) -> None:
        """Do all that is due now, in this thread, and wait for it."""
        self._book.hurry()
        self._chores()
        for entry in self.due():
            self._begin(entry)
            probe_now(self._book, entry, self._clock, partial(self._end, entry))

    async def watch(self) -> None:
        """Probe on this event loop until cancelled; coroutine functions run on it."""
        import asyncio

        with self._changed:
            self._watchers += 1
            self._changed.notify_all()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._book.hurry()
                    self._chores()
                    for entry in self.due():
                        self._begin(entry)
                        tasks.create_task(aprobe(self._book, entry, partial(self._end, entry)))
                    await asyncio.sleep(min(self._wait_s(), LOOK_EVERY_S))
        finally:
            with self._changed:
                self._watchers -= 1
            self.wake()

    def close(self) -> None:
        """Start no further probe. Those in flight end by themselves."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def due(self) -> list[Entry]:
        """Give those to probe now; those that follow a breaker are looked at on the way."""
        now = self._clock.monotonic()
        for entry in list(self._book.entries.values()):
            if entry.breaker is not None and entry.decided.state is not decide.HEALTHY:
                self._book.follow(entry)
            if self._hanging_at_s.get(entry.service.name, inf) <= now:
                self._hanging_at_s[entry.service.name] = inf
                self._book.failed(entry, HANGS)
        return [
            entry
            for entry in self._book.entries.values()
            if _is_probed(entry)
            and entry.decided.try_at_s <= now
            and entry.service.name not in self._hanging_at_s
        ]

    # Threads ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Start what is due, for as long as anything is down; then end."""
        is_needed = True
        try:
            while is_needed:
                self._book.hurry()
                self._chores()
                for entry in self.due():
                    self._start(entry)
                with self._changed:
                    is_needed = self._is_needed()
                    if is_needed:
                        self._changed.wait(min(self._wait_s(), LOOK_EVERY_S))
                    else:
                        self._looker = None
        finally:
            if is_needed:  # It ends by an error: the next change starts another.
                self._looker = None

    def _is_needed(self) -> bool:
        return not self._is_closed and not self._watchers and self._next_s() < inf

    def _start(self, entry: Entry) -> None:
        name = entry.service.name
        worker = self._workers.setdefault(name, Worker(f"resile-probe-{name[:40]}"))
        self._begin(entry)
        end = partial(self._end, entry)
        if not worker.submit(partial(probe_now, self._book, entry, self._clock, end)):
            self._end(entry)

    def _begin(self, entry: Entry) -> None:
        self._hanging_at_s[entry.service.name] = self._clock.monotonic() + entry.service.timeout_s

    def _end(self, entry: Entry) -> None:
        self._hanging_at_s.pop(entry.service.name, None)
        self.wake()

    def _wait_s(self) -> float:
        return max(self._next_s() - self._clock.monotonic(), 0.01)

    def _next_s(self) -> float:
        """Tell when there is something to do; infinite if nothing is wrong."""
        now = self._clock.monotonic()
        times = [self._chores_at_s()]
        for entry in list(self._book.entries.values()):
            if entry.pending_s < inf or (
                entry.breaker is not None and entry.decided.state is not decide.HEALTHY
            ):
                times.append(now + LOOK_EVERY_S)
            if entry.service.probe is not None and decide.is_probed(entry.decided):
                hangs_at_s = self._hanging_at_s.get(entry.service.name)
                is_waiting = entry.standing.blocked_by or hangs_at_s is not None
                times.append(now + LOOK_EVERY_S if is_waiting else entry.decided.try_at_s)
        return min(times)

    def _chores_at_s(self) -> float:
        return inf if not self._book.unsaved() else self._clock.monotonic() + LOOK_EVERY_S


def probe_now(book: Book, entry: Entry, clock: Clock, end: Callable[[], None]) -> None:
    """Probe a service in this thread; a coroutine function gets an event loop of its own."""
    try:
        with deadline_after(entry.service.timeout_s, clock=clock):
            found = _probe_of(entry)()
            if isinstance(found, Awaitable):
                import asyncio

                found = asyncio.run(_within(found, entry.service.timeout_s))
    except Exception as error:  # noqa: BLE001 - whatever it is, the service does not work
        book.failed(entry, written(error))
    else:
        _judge(book, entry, found)
    finally:
        end()


async def aprobe(book: Book, entry: Entry, end: Callable[[], None]) -> None:
    """Probe a service on this event loop; what is no coroutine function runs in a thread."""
    import asyncio

    from resile.policies.forms import Form, form_of

    try:
        if form_of(entry.service.probe) is Form.COROUTINE:
            found = _probe_of(entry)()
        else:
            found = await asyncio.to_thread(_probe_of(entry))
        if isinstance(found, Awaitable):
            found = await _within(found, entry.service.timeout_s)
    except Exception as error:  # noqa: BLE001 - whatever it is, the service does not work
        book.failed(entry, written(error))
    else:
        _judge(book, entry, found)
    finally:
        end()


async def _within(awaitable: Awaitable[object], timeout_s: float) -> object:
    import asyncio

    async with asyncio.timeout(timeout_s):
        return await awaitable


def _judge(book: Book, entry: Entry, found: object) -> None:
    if found is False:
        book.failed(entry, NO)
    else:
        book.worked(entry)


def _probe_of(entry: Entry) -> Callable[[], object]:
    if entry.service.probe is None:
        raise AssertionError(f"{entry.service.name} has no probe")
    return entry.service.probe


def _is_probed(entry: Entry) -> bool:
    """Tell whether a service is probed at all now: not while another is to blame."""
    return (
        entry.service.probe is not None
        and decide.is_probed(entry.decided)
        and not entry.standing.blocked_by
    )
