"""Make a call to a service: ask it, or let its fallbacks answer, and count what came of it.

Both colours do the same; what they share stands in `Attempt`. The one call that changes a state
waits until the change counts, which takes a commit; so who makes it sees what it came to.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

from resile.degradation.book import Book, Entry, Way
from resile.errors import BreakerOpenError, ServiceDownError
from resile.policies.classify import is_failure, written
from resile.policies.colours import check_called

T = TypeVar("T")


def call(
    book: Book, entry: Entry, primary: Callable[..., T], args: Any, kwargs: Any
) -> tuple[T, bool]:
    """Ask a service, or its fallbacks.

    Returns:
        The answer, and whether a fallback gave it.

    Raises:
        ServiceDownError: If it was not asked, and nothing else answers.
        Exception: What the service raised, if nothing else answers.
        ConfigError: If it gave a coroutine.
    """
    attempt = Attempt(book, entry, primary)
    try:
        if entry.chain is None:
            value = attempt.ask(*args, **kwargs)
        else:
            value = entry.chain.run(partial(attempt.ask, *args, **kwargs))
    except Exception as error:
        attempt.unanswered(error)
        raise
    finally:
        attempt.close()
        if attempt.has_changed:
            book.wait_until_counted(entry)
    check_called(value, primary, instead="`await services.acall(...)`")
    return value, attempt.answered()


async def acall(
    book: Book, entry: Entry, primary: Callable[..., Awaitable[T]], args: Any, kwargs: Any
) -> tuple[T, bool]:
    """Do the same on an event loop; fallbacks may be coroutine functions."""
    attempt = Attempt(book, entry, primary)
    try:
        if entry.chain is None:
            return await attempt.aask(*args, **kwargs), False
        value = await entry.chain.arun(partial(attempt.aask, *args, **kwargs))
    except Exception as error:
        attempt.unanswered(error)
        raise
    finally:
        attempt.close()
        if attempt.has_changed:
            from asyncio import to_thread

            await to_thread(book.wait_until_counted, entry)
    return value, attempt.answered()


class Attempt(Generic[T]):
    """One call to one service. Not thread-safe; the call owns it.

    Args:
        book: Where it is counted.
        entry: The service.
        primary: What asks it.
    """

    __slots__ = ("_book", "_entry", "_has_answered", "_is_cause", "_primary", "_way")

    def __init__(self, book: Book, entry: Entry, primary: Callable[..., T]) -> None:
        self._book = book
        self._entry = entry
        self._primary = primary
        self._has_answered = False
        self._is_cause = False
        self._way = book.begin(entry)

    def ask(self, /, *args: Any, **kwargs: Any) -> T:
        """Ask the service, unless it is known to be down."""
        if self._way is Way.SKIP:
            raise self._down()
        try:
            value = self._primary(*args, **kwargs)
        except Exception as error:
            self._failed(error)
            raise
        if not isinstance(value, CoroutineType):
            self._worked()
        return value

    async def aask(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do the same on an event loop."""
        if self._way is Way.SKIP:
            raise self._down()
        try:
            value = await cast("Awaitable[T]", self._primary(*args, **kwargs))
        except Exception as error:
            self._failed(error)
            raise
        self._worked()
        return value

    def answered(self) -> bool:
        """Count an answer; True if a fallback gave it."""
        if not self._has_answered:
            self._book.answered(self._entry)
        return not self._has_answered

    def unanswered(self, error: Exception) -> None:
        """Count that nobody answered, if it was not the caller's own fault."""
        if isinstance(error, (*self._entry.on, ServiceDownError)):
            self._is_cause = True
            chain = self._entry.service.steps
            why = _last_note(error) or written(error)
            self._book.unanswered(self._entry, why if chain else "it has no fallback")

    @property
    def has_changed(self) -> bool:
        """True if a change of the service waits to count, and this call was one of its causes."""
        return self._is_cause and self._entry.pending_s != inf

    def close(self) -> None:
        """Let another call try, if this one did."""
        if self._way is Way.TRY:
            self._book.end_trial(self._entry)

    def _worked(self) -> None:
        self._has_answered = self._is_cause = True
        self._book.worked(self._entry)

    def _failed(self, error: Exception) -> None:
        entry = self._entry
        self._is_cause = True
        if entry.breaker is not None:
            self._book.follow(entry)
        if isinstance(error, BreakerOpenError) or is_failure(error, entry.on, ()):
            self._book.failed(entry, written(error))

    def _down(self) -> ServiceDownError:
        status = self._book.status(self._entry)
        return ServiceDownError(
            f"{status.name} is {status.state}: {status.reason or 'no reason was given'}",
            service=status.name,
            hint="it is asked again by itself; a fallback could answer meanwhile",
        )


def _last_note(error: Exception) -> str:
    """Give what was noted of the last fallback that failed; empty if nothing was."""
    notes = getattr(error, "__notes__", [])
    return str(notes[-1]) if notes else ""
