"""Say what an error means: may the call be tried again, and is the dependency to blame. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto
from math import isfinite

from resile.errors import ConfigError, OperationError, RateLimitedError, RejectedError, ResileError

TEXT_LENGTH_MAX = 200
"""Of what is remembered of an error: a line, not a page."""
_TEXT_READ_MAX = 2000
"""Of an error's own text: enough to find the end of a password in a line."""
ErrorClasses = type[Exception] | tuple[type[Exception], ...]


class Verdict(Enum):
    """What an error means to retries and breakers.

    TRANSIENT: the same call may succeed later; it counts as a failure. PERMANENT: the dependency
    failed, and will again. IGNORED: the caller's own fault, such as a wrong key; counts for nothing.
    """

    TRANSIENT = auto()
    PERMANENT = auto()
    IGNORED = auto()


Classifier = Callable[[Exception], Verdict]
RetryAfter = Callable[[Exception, datetime], float | None]


def judged(classify: Classifier, error: Exception) -> Verdict:
    """Ask a classifier.

    Raises:
        ConfigError: If it gave no Verdict: True would mean one thing to a retry, another to a breaker.
    """
    verdict: object = classify(error)
    if not isinstance(verdict, Verdict):
        raise ConfigError(
            f"classify gave {verdict!r:.80} for {type(error).__name__}, which is no Verdict",
            hint="let it give resile.Verdict.TRANSIENT, PERMANENT or IGNORED",
        ) from error
    return verdict


def is_transient(error: Exception, on: ErrorClasses, unless: ErrorClasses) -> bool:
    """Tell whether a retry without a classifier of its own tries again.

    Of our own errors: those that say so themselves, a rate limit, and what is named exactly.
    Rejections by a breaker or a bulkhead are not tried again: they are there to fail fast.
    """
    if isinstance(error, unless) or is_cancellation(error):
        return False
    if isinstance(error, ResileError):
        classes = on if isinstance(on, tuple) else (on,)
        named = tuple(one for one in classes if issubclass(one, ResileError))
        says_so = isinstance(error, OperationError) and error.is_transient
        return says_so or isinstance(error, (RateLimitedError, *named))
    return isinstance(error, on)


def is_failure(error: Exception, on: ErrorClasses, unless: ErrorClasses) -> bool:
    """Tell whether a breaker without a classifier counts an error.

    A rejection by a policy further in says nothing about the dependency, nor does a guard that is
    used wrongly, so neither counts.
    """
    if isinstance(error, (*_tuple(unless), RejectedError, ConfigError)) or is_cancellation(error):
        return False
    return isinstance(error, on)


def written(error: Exception) -> str:
    """Write kind and text of an error, without passwords; the kind alone if its own text fails.

    Drivers put addresses with passwords into their messages, and what is written here is shown.
    """
    kind = type(error).__name__
    try:
        text = f"{kind}: {error}"[:_TEXT_READ_MAX]
    except Exception:  # noqa: BLE001 - the error that is being handled must not be lost over it
        return kind
    if "@" in text or "=" in text:
        from resile.core.passwords import without_password

        text = without_password(text)
    return text[:TEXT_LENGTH_MAX]


def is_cancellation(error: Exception) -> bool:
    """Tell whether it is the one cancellation that is a plain Exception, that of futures."""
    kind = type(error)
    return kind.__name__ == "CancelledError" and kind.__module__.startswith("concurrent.futures")


def retry_after_of(error: Exception, now: datetime) -> float | None:
    """Find in an error how many seconds its sender asks us to wait; None if it does not.

    It looks for `retry_after_s` or `retry_after`, then for the header Retry-After of the error or of
    its `response`, as the HTTP clients have it: seconds, or a date.

    Args:
        error: Any error.
        now: Aware; a date is counted from here.

    Source: RFC 9110, section 10.2.3.
    """
    for name in ("retry_after_s", "retry_after"):
        seconds = _seconds(getattr(error, name, None), now)
        if seconds is not None:
            return seconds
    for owner in (error, getattr(error, "response", None)):
        headers = getattr(owner, "headers", None)
        get = getattr(headers, "get", None)
        if callable(get):
            seconds = _seconds(get("Retry-After") or get("retry-after"), now)
            if seconds is not None:
                return seconds
    return None


def _seconds(value: object, now: datetime) -> float | None:
    if isinstance(value, int | float):
        return float(value) if isfinite(value) and value >= 0 else None
    if not isinstance(value, str) or not value.strip():
        return None
    if value.strip().isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((aware - now).total_seconds(), 0.0)


def _tuple(classes: ErrorClasses) -> tuple[type[Exception], ...]:
    return classes if isinstance(classes, tuple) else (classes,)
