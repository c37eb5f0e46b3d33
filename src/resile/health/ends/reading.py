"""Read from a log's last lines what they tell of the end of their program. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resile.core.signals import signal_meaning
from resile.health.ends.complaints import last_complaint
from resile.health.ends.traces import Trace, TraceKind, find_trace

LINES_BEHIND_MAX: Final = 40
"""An exception that ends a program is among the last things that it writes; what was written long before
was caught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """What a program's last lines tell of its end.

    Args:
        error: What it complained of, in one line; empty if it did not, or that explains nothing.
        frames: Where it was, the innermost first; empty where nobody knows.
        place: The innermost of them that is the program's own; empty where nobody knows.
        trace: The last stack trace, whether it explains the end or not; None if there is none.
    """

    error: str = ""
    frames: tuple[str, ...] = ()
    place: str = ""
    trace: Trace | None = None


def read_last_words(
    lines: Sequence[str], *, exit_code: int | None, signal: str, is_hang: bool = False
) -> LastWords:
    """Tell what the last lines of a program say of its end.

    A program that somebody else killed says nothing of it, whatever it complained of before.

    Args:
        lines: Oldest first.
        exit_code: None if a signal ended it.
        signal: Its name; empty if it exited.
        is_hang: It was killed because it hung.
    """
    trace = find_trace(lines)
    if exit_code == 0 and not is_hang:
        return LastWords(trace=trace)
    if is_hang or signal:
        return _of_signalled(lines, trace, signal=signal, is_hang=is_hang)
    if trace is not None and trace.kind is TraceKind.UNCAUGHT and trace.left <= LINES_BEHIND_MAX:
        return _of_trace(trace, trace.error)
    return LastWords(error=last_complaint(lines), trace=trace)


def _of_signalled(
    lines: Sequence[str], trace: Trace | None, *, signal: str, is_hang: bool
) -> LastWords:
    """Take the stack that was written at the very end; what gave up has said why before that."""
    has_reason = signal == "SIGABRT" and not is_hang
    is_dump = trace is not None and trace.kind is not TraceKind.UNCAUGHT
    is_meant = is_hang or bool(signal_meaning(signal))
    if trace is None or not is_dump or not is_meant or trace.left > LINES_BEHIND_MAX:
        return LastWords(error=last_complaint(lines) if has_reason else "", trace=trace)
    error = trace.error or (last_complaint(lines[: trace.start]) if has_reason else "")
    return _of_trace(trace, error)


def _of_trace(trace: Trace, error: str) -> LastWords:
    return LastWords(error=error, frames=trace.frames, place=trace.place, trace=trace)
