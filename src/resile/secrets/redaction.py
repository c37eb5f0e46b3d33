"""Blot out the values of secrets in log records: in their text, their tracebacks and their extra fields.

It knows what this process has read. Nothing is promised for what is shorter than eight bytes, was cut in
two, or was changed in other ways than those that `forms` names.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from resile.policies.forks import RenewedLock, renew_in_children
from resile.secrets.forms import forms_of, pattern_of
from resile.secrets.using import see_with
from resile.secrets.value import HIDDEN, Secret

VALUES_MAX: Final = 100
"""The values read last, each with up to about fifteen forms; older ones are forgotten."""
_PLAIN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes that every record has; others are a program's own fields."""

_Replace = Callable[[str, str], str]


class Redactor:
    """Knows values, and blots them out. Safe to share between threads.

    It holds texts and no `Secret`, which would count as used.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[frozenset[str], None] = OrderedDict()
        self._replace: _Replace | None = None
        self._is_outdated = False
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork; what is known stays."""
        self._lock = threading.Lock()

    def know(self, secret: Secret) -> None:
        """Blot this one out from now on."""
        forms = frozenset(forms_of(secret))
        with self._lock:
            if forms not in self._known:
                self._known[forms] = None
                self._is_outdated = True
            self._known.move_to_end(forms)
            while len(self._known) > VALUES_MAX:
                self._known.popitem(last=False)

    def blot(self, text: str) -> str:
        """Give a text with stars instead of values; the text itself if there are none in it."""
        if self._is_outdated:
            self._compile()
        replace = self._replace
        return text if replace is None else replace(HIDDEN, text)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._known)} secrets>"

    def _compile(self) -> None:
        with self._lock:
            self._is_outdated = False
            # Only the method is kept: what a pattern shows of itself are the values.
            self._replace = pattern_of(form for forms in self._known for form in forms)


class RedactingFilter(logging.Filter):
    """Blots values out of the records of a handler. Safe to share between threads.

    Args:
        redactor: What knows them.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without values."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # The handler would complain of a message that does not fit its arguments, and show these.
            message, record.args = str(record.msg), None
        blotted = self._redactor.blot(message)
        if blotted != message:
            record.msg, record.args = blotted, None
        self._blot_traceback(record)
        for name, value in record.__dict__.items():
            if name not in _PLAIN:
                record.__dict__[name] = self._blotted(value)
        return True

    def _blot_traceback(self, record: logging.LogRecord) -> None:
        """Blot the text of a traceback; the exception itself goes only if it shows a value."""
        if record.exc_info and not record.exc_text:
            text = _FORMATTER.formatException(record.exc_info)
            blotted = self._redactor.blot(text)
            if blotted != text:
                record.exc_text, record.exc_info = blotted, None
        elif record.exc_text:
            record.exc_text = self._redactor.blot(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.blot(record.stack_info)

    def _blotted(self, value: Any) -> Any:
        """Blot a field that is text, or looks like a value when it is written as text."""
        if isinstance(value, int | float | None):
            return value
        text = value if isinstance(value, str) else repr(value)
        blotted = self._redactor.blot(text)
        return value if blotted == text else blotted


def redact_logs(logger: logging.Logger | None = None) -> Callable[[], None]:
    """Blot the values of secrets out of what is logged: messages, tracebacks, fields.

    For the handlers that the logger has now. Found is what this process has read, as it is and in
    base64 and URLs, from eight bytes on; a net below, not a reason to log secrets.

    Args:
        logger: Whose handlers. Default: the root's.

    Returns:
        What ends it.
    """
    with _lock:
        if not _redactors:
            _redactors.append(Redactor())
            see_with(_redactors[0].know)
    return redact_with(_redactors[0], logging.getLogger() if logger is None else logger)


def redact_with(redactor: Redactor, logger: logging.Logger) -> Callable[[], None]:
    """Have the handlers of a logger blot values out; give what ends it."""
    one = RedactingFilter(redactor)
    handlers = tuple(logger.handlers)
    for handler in handlers:
        handler.addFilter(one)

    def end() -> None:
        for handler in handlers:
            handler.removeFilter(one)

    return end


_FORMATTER: Final = logging.Formatter()
_redactors: list[Redactor] = []
"""One for this process, if it was asked for."""
_lock = RenewedLock()
