"""Tell what lies behind an end or a check that is down, from the words that were said about it. Pure.

Words are a weak witness, so each pattern is one that programs, the C library or SQLite say for this and hardly for
anything else. Where nothing fits, nothing is told.
"""

import re
from collections.abc import Sequence
from typing import Final

from resile.core.vocabulary import Cause, EndKind

TEXT_LENGTH_MAX: Final = 4000
"""Nothing behind this is looked at: the patterns must stay quick."""
LINES_MAX: Final = 20
"""Of a log's tail; what stands further above hardly tells why a program ended."""

_PATTERNS: Final = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        (
            Cause.PORT_TAKEN,
            r"address (?:is )?already in use|EADDRINUSE|port \d+ is (?:already )?(?:in use|taken)",
        ),
        (
            Cause.DISK_FULL,
            r"no space left on device|ENOSPC|disk (?:is|quota|or disk is) (?:full|exceeded)|EDQUOT",
        ),
        (Cause.DESCRIPTORS, r"too many open files|EMFILE|ENFILE|file table overflow"),
        (
            Cause.CERTIFICATE,
            (
                r"certificate (?:has |is |was )?(?:expired|verify failed: certificate has expired|not yet valid)"
                r"|CERT(?:IFICATE)?_HAS_EXPIRED|SSL alert number 45|x509: certificate has expired"
            ),
        ),
        (
            Cause.LOCK,
            r"database (?:table |schema )?is locked|SQLITE_(?:BUSY|LOCKED)|\bit is locked$|deadlock",
        ),
        (
            Cause.POOL,
            (
                r"QueuePool limit|PoolTimeout|connection pool (?:is )?(?:exhausted|full)|too many (?:clients|connections)"
                r"|remaining connection slots are reserved|couldn't get a connection after"
            ),
        ),
        (
            Cause.CORRUPTION,
            (
                r"database disk image is malformed|file is not a database|invalid page in block|checksum (?:mismatch|"
                r"verification failed)|bad magic|(?:file|index|data) is corrupt"
            ),
        ),
        (
            Cause.SECRET,
            (
                r"(?:password )?authentication failed|access denied for user|invalid (?:api[ _-]?key|credentials|password)"
                r"|incorrect api key|\b401\b[ :-]*unauthori[sz]ed|HTTP 401\b|WRONGPASS|NOAUTH|bad credentials"
                r"|(?:token|password|credential) (?:has |is )?(?:expired|revoked)"
            ),
        ),
        (
            Cause.MEMORY,
            r"cannot allocate memory|ENOMEM|\bMemoryError\b|std::bad_alloc|OutOfMemoryError",
        ),
        (
            Cause.PROCESSES,
            r"can't start new thread|cannot fork|fork: (?:retry: )?resource temporarily unavailable",
        ),
        (
            Cause.PERMISSION,
            r"permission denied|\bEACCES\b|\bEPERM\b|operation not permitted|PermissionError",
        ),
        (
            Cause.CLOCK,
            r"clock (?:skew|drift|moved backwards)|not yet valid.*clock|request time too skewed",
        ),
    )
)
"""In order: what is told first is the more certain."""
_DEPENDENCY: Final = re.compile(
    r"connection refused|ECONNREFUSED|could not connect to|no route to host|name or service not known"
    r"|temporary failure in name resolution|(?:connection|read) timed out|host is unreachable",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    r"\bHTTP 40[13]\b|\b401\b[ :-]*unauthori[sz]ed|\b403\b[ :-]*forbidden", re.IGNORECASE
)
_OF_ENDS: Final = {
    EndKind.OOM: Cause.MEMORY,
    EndKind.MACHINE_OOM: Cause.MEMORY,
    EndKind.PROCESSES: Cause.PROCESSES,
}


def cause_of_end(end: EndKind, words: str, lines: Sequence[str] = ()) -> Cause | None:
    """Tell why a process ended.

    Args:
        end: What counters and orders tell; that is more certain than words.
        words: What it complained of last, or why it could not be executed.
        lines: Of its log, oldest first; asked where the words tell nothing.

    Returns:
        None if nobody knows.
    """
    if end in _OF_ENDS:
        return _OF_ENDS[end]
    if not words:
        return None  # It complained of nothing, so what stands in its log is an old story.
    found = _named(words) or next(filter(None, map(_named, reversed(lines[-LINES_MAX:]))), None)
    if found is not None:
        return found
    return Cause.DEPENDENCY if _DEPENDENCY.search(words[:TEXT_LENGTH_MAX]) else None


def cause_of_check(reason: str, *, uses_secret: bool) -> Cause | None:
    """Tell what lies behind a check that is down, from its reason; None if nobody knows.

    A refused connection says nothing here: it is refused by what the check looks at itself.

    Args:
        reason: What the check saw.
        uses_secret: It looks at a service that gets a declared secret. An answer of 401 or 403 means that
            such a secret is refused; of any other service it may be how a page is protected.
    """
    if _REFUSED.search(reason[:TEXT_LENGTH_MAX]):
        return Cause.SECRET if uses_secret else None
    return _named(reason)


def _named(text: str) -> Cause | None:
    short = text[:TEXT_LENGTH_MAX]
    return next((cause for cause, pattern in _PATTERNS if pattern.search(short)), None)
