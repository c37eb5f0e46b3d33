"""What follows from a change: it is journalled, then it counts, then people and listeners are told.

A call waits for none of it: a thread writes, another tells. Both end when there is nothing to do.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from resile.core.clock import Clock
from resile.core.events import DegradationAnswered
from resile.core.log_line import log_line
from resile.degradation import decide
from resile.degradation.book import JOURNAL_WAIT_S, Book, Change, Entry
from resile.degradation.keeping import Keeper
from resile.degradation.model import Notice, Status
from resile.degradation.notices import Notices
from resile.degradation.workers import Job, Worker

logger = logging.getLogger(__name__)

LISTENERS_MAX: Final = 100
Notify = Callable[[Notice], None]
Listener = Callable[[Status], None]


class Effects:
    """The writer and the teller of one manager. Safe to share between threads.

    Args:
        keeper: The journal; None if states end with the process.
        notices: What people have been told.
        notify: Are given every notice.
        is_background: False does everything in the thread that caused it.
    """

    def __init__(
        self,
        *,
        keeper: Keeper | None,
        notices: Notices,
        notify: Iterable[Notify],
        is_background: bool,
    ) -> None:
        self._keeper = keeper
        self._notices = notices
        self._notify = tuple(notify)
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.Lock()
        self._is_background = is_background
        self._writer = Worker("resile-journal", idle=None if keeper is None else keeper.close)
        self._teller = Worker("resile-notices")

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.Lock()
        self._writer.renew()
        self._teller.renew()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have the new status of a service given to a listener whenever one changes.

        Returns:
            What ends it.
        """
        with self._lock:
            if len(self._listeners) >= LISTENERS_MAX:
                raise AssertionError(f"more than {LISTENERS_MAX} listeners: one is added in a loop")
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return end

    # To be written ------------------------------------------------------------------------------

    def save(self, book: Book, entry: Entry) -> None:
        """Write a service's condition, and let it count."""
        if self._keeper is None:
            book.count(entry, book.take(entry)[1])
        elif not self._is_background:
            self._write(self._keeper, book, entry)
        elif not self._writer.submit(partial(self._write, self._keeper, book, entry)):
            book.count(entry, book.take(entry)[1], is_saved=False)

    def save_what_is_missing(self, book: Book, clock: Clock) -> None:
        """Write what the journal could not take, if it is time to try again."""
        if self._keeper is None or clock.monotonic() < self._keeper.retry_at_s:
            return
        for entry in book.unsaved():
            if not entry.is_queued:
                entry.is_queued = True
                self.save(book, entry)

    def answer(self, payload: DegradationAnswered) -> None:
        """Write what a person chose, before it is done; a journal that hangs is not waited for."""
        if self._keeper is None:
            return
        write = partial(self._keeper.answer, payload)
        if not self._is_background:
            write()
            return
        done = threading.Event()

        def job() -> None:
            write()
            done.set()

        if self._writer.submit(job):
            done.wait(JOURNAL_WAIT_S)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is written and told; False if that took longer."""
        are_done = []
        for worker in (self._writer, self._teller):
            done = threading.Event()
            are_done.append(
                not worker.is_busy or (worker.submit(done.set) and done.wait(timeout_s))
            )
        return all(are_done)

    def _write(self, keeper: Keeper, book: Book, entry: Entry) -> None:
        before, after = book.take(entry)
        is_saved = not decide.is_news(before, after) or keeper.change(
            entry.service.name, before, after
        )
        book.count(entry, after, is_saved=is_saved)

    # To be told ---------------------------------------------------------------------------------

    def tell(self, book: Book, changes: list[Change]) -> None:
        """Tell what counts now."""
        for change in changes:
            notice = self._notices.consider(change)
            if notice is not None:
                self._tell_people(notice)
            status = book.status(change.entry)
            self._soon(partial(_log, status, change.before.state.value))
            for listener in self._listeners:
                self._soon(partial(listener, status))

    def _tell_people(self, notice: Notice) -> None:
        if self._keeper is not None and not notice.is_over:
            write = partial(self._keeper.notice, notice.service, notice.id, notice.text)
            if self._is_background:
                self._writer.submit(write)
            else:
                write()
        for notify in self._notify:
            self._soon(partial(notify, notice))

    def _soon(self, job: Job) -> None:
        """Do a job of somebody else's: it may be slow, and it may fail."""
        if self._is_background:
            self._teller.submit(job)
            return
        try:
            job()
        except Exception:
            logger.exception("degradation.listener_failed")


def _log(status: Status, before: str) -> None:
    level = logging.WARNING if status.is_fallback else logging.INFO
    fields: dict[str, object] = {
        "service": status.name,
        "before": before,
        "after": status.state.value,
        "why": status.reason,
    }
    logger.log(level, log_line("degradation.changed", fields), extra=fields)
