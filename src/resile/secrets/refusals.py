"""Tell that a credential was refused: from an error of whatever library, and when it becomes an alarm."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.policies.forks import renew_in_children

logger = logging.getLogger(__name__)

SQL_STATES: Final = ("28P01", "28000")
"""invalid_password and invalid_authorization_specification: PostgreSQL, appendix A; SQL:2016, 23.1."""
SQL_TEXTS: Final = (
    "password authentication failed",
    "is not permitted to log in",
)
"""What PostgreSQL says while a connection is made, when libpq hands no SQLSTATE over; in English alone."""
UNAUTHORIZED: Final = 401
CHAIN_MAX: Final = 5
"""An error of a pool holds the one of the driver, and so on."""
REFUSED_MAX: Final = 3
WINDOW_S: Final = 60.0
"""Three refusals in a minute are no slip; nor is an alarm a minute."""
NAMES_MAX: Final = 1000


def looks_refused(error: Exception) -> bool:
    """Tell whether an error says that a credential was refused.

    Known are errors with a `sqlstate` (psycopg, asyncpg) or PostgreSQL's own English words, the same
    inside an error of SQLAlchemy, and answers with the status 401 (httpx, requests, urllib, boto3).
    """
    return any(_says_so(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(CHAIN_MAX):
        if error is None:
            return
        yield error
        inner = getattr(error, "orig", None)  # SQLAlchemy's errors hold the driver's.
        error = inner if isinstance(inner, BaseException) else error.__cause__


def _says_so(error: BaseException) -> bool:
    if getattr(error, "sqlstate", None) in SQL_STATES:
        return True
    if _status_of(error) == UNAUTHORIZED:
        return True
    is_of_connection = hasattr(error, "pgconn") and getattr(error, "sqlstate", None) is None
    return is_of_connection and any(text in str(error) for text in SQL_TEXTS)


def _status_of(error: BaseException) -> object:
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    status = getattr(response, "status_code", None)
    return status if status is not None else getattr(error, "code", None)


class Refusals:
    """Counts what was refused although it is current. Safe to share between threads.

    Args:
        report: Called with a name and a count when it is an alarm: once a minute for a name.
        clock: For the window.
    """

    def __init__(self, report: Callable[[str, int], None], *, clock: Clock) -> None:
        self._report = report
        self._now = clock.monotonic
        self._seen: dict[str, deque[float]] = {}
        self._reported: dict[str, float] = {}
        self._lock = threading.Lock()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.Lock()
        self._seen, self._reported = {}, {}

    def add(self, name: str) -> None:
        """Count a refusal; three within a minute are an alarm."""
        count = self._count(name)
        if count:
            fields: dict[str, object] = {"secret": name, "count": count, "within_s": WINDOW_S}
            logger.warning(log_line("secrets.login_refused", fields), extra=fields)
            self._report(name, count)

    def _count(self, name: str) -> int:
        """Give how many there were if that is an alarm now; else 0."""
        now_s = self._now()
        with self._lock:
            if name not in self._seen and len(self._seen) >= NAMES_MAX:
                self._seen.clear()
                self._reported.clear()
            seen = self._seen.setdefault(name, deque(maxlen=NAMES_MAX))
            seen.append(now_s)
            while seen[0] <= now_s - WINDOW_S:
                seen.popleft()
            is_told = now_s < self._reported.get(name, -WINDOW_S) + WINDOW_S
            if len(seen) < REFUSED_MAX or is_told:
                return 0
            self._reported[name] = now_s
            return len(seen)
