"""Policies for what most services depend on, by name: what passes is tried again, the rest is not.

They are values: each guarded function or name has its own state. The classifiers know errors by
what they carry (errno, SQLSTATE, SQLite's code), so no driver is imported.
"""

import errno
from collections.abc import Iterable
from typing import Final

from resile.errors import ConfigError
from resile.policies.breaker import Breaker
from resile.policies.classify import Verdict
from resile.policies.policy import Policy
from resile.policies.retry import Retry

_SQLSTATES_TRANSIENT: Final = ("08", "40001", "40P01", "53", "55P03", "57P")
"""Connection lost, serialization failure, deadlock, no resources, lock time-out, shutting down."""
_SQLSTATES_OF_THE_CALLER: Final = ("22", "23", "42")
"""Bad data, a constraint, bad syntax or a missing name."""
_SQLITE_TRANSIENT: Final = frozenset((5, 6, 10, 14))
"""SQLITE_BUSY, LOCKED, IOERR, CANTOPEN; an extended code has these in its low byte."""
_SQLITE_OF_THE_CALLER: Final = frozenset((1, 19, 20, 21, 25))
"""SQLITE_ERROR (syntax, a missing table), CONSTRAINT, MISMATCH, MISUSE, RANGE."""
_FILE_TRANSIENT: Final = frozenset((errno.EAGAIN, errno.EBUSY))
_IPC_TRANSIENT: Final = frozenset((errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EAGAIN, errno.EPIPE))


def database_verdict(error: Exception) -> Verdict:
    """Judge a database error: lost connections and locks pass, constraints and syntax never do."""
    state = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
    code = getattr(error, "sqlite_errorcode", None)
    if state.startswith(_SQLSTATES_TRANSIENT) or isinstance(error, ConnectionError | TimeoutError):
        return Verdict.TRANSIENT
    if isinstance(code, int):
        return _by_sqlite_code(code & 0xFF)
    if state.startswith(_SQLSTATES_OF_THE_CALLER):
        return Verdict.IGNORED
    # PostgreSQL's drivers raise OperationalError without a state when the connection is gone.
    is_lost = not state and type(error).__name__ in ("OperationalError", "InterfaceError")
    return Verdict.TRANSIENT if is_lost else Verdict.PERMANENT


def _by_sqlite_code(code: int) -> Verdict:
    if code in _SQLITE_TRANSIENT:
        return Verdict.TRANSIENT
    return Verdict.IGNORED if code in _SQLITE_OF_THE_CALLER else Verdict.PERMANENT


def ipc_verdict(error: Exception) -> Verdict:
    """Judge an error of IPC: refused, reset and late pass, a broken protocol does not."""
    if isinstance(error, ConnectionError | TimeoutError):
        return Verdict.TRANSIENT
    return _by_errno(error, _IPC_TRANSIENT)


def file_verdict(error: Exception) -> Verdict:
    """Judge an error of a file: busy passes; missing, forbidden and full do not."""
    return _by_errno(error, _FILE_TRANSIENT)


def scan_verdict(error: Exception) -> Verdict:
    """Judge an error of a scan: out of memory passes, invalid rules do not."""
    if isinstance(error, MemoryError):
        return Verdict.TRANSIENT
    return _by_errno(error, frozenset((errno.ENOMEM,)))


def _by_errno(error: Exception, transient: frozenset[int]) -> Verdict:
    number = error.errno if isinstance(error, OSError) else None
    return Verdict.TRANSIENT if number in transient else Verdict.PERMANENT


DATABASE: Final = Retry(
    attempts=3, initial=0.1, max=1.0, multiplier=2.0, classify=database_verdict
) + Breaker(failures=5, open_for=30, successes=2, classify=database_verdict)
IPC: Final = Retry(
    attempts=5, initial=0.05, max=2.0, multiplier=1.5, classify=ipc_verdict
) + Breaker(failures=10, open_for=10, successes=1)
FILE: Final = Retry(attempts=3, initial=0.2, max=5.0, multiplier=2.0, classify=file_verdict)
SCAN: Final = Retry(
    attempts=2, initial=1.0, max=5.0, multiplier=3.0, classify=scan_verdict
) + Breaker(failures=3, open_for=60, successes=3)
EXTERNAL_API: Final = Breaker(failures=3, open_for=60, successes=2)

_NAMED: Final[dict[str, Policy]] = {
    "database": DATABASE,
    "ipc": IPC,
    "file": FILE,
    "scan": SCAN,
    "external_api": EXTERNAL_API,
}


def preset_named(name: str) -> Policy:
    """Give a preset: database, ipc, file, scan, external_api.

    Raises:
        ConfigError: If there is none; the nearest name is shown.
    """
    found = _NAMED.get(name)
    if found is None:
        raise ConfigError(f"there is no preset {name!r}", hint=nearest(name, _NAMED))
    return found


def nearest(name: object, known: Iterable[str]) -> str:
    """Write a hint with the nearest of the names that exist."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(str(name), names, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is {', '.join(names[:10])}" if names else "none has been made yet"
