"""Find the last stack trace that a Python program wrote into its log. Pure.

Two sorts are known: the traceback of an exception that nobody caught, with those that led to it and those
of an exception group; and what `faulthandler` writes when a signal ends the process, or when it is asked to.

Source: traceback.c and faulthandler.c of CPython 3.11 to 3.14.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final, NamedTuple

from resile.health.ends.complaints import shown

TRACE_LINES_MAX: Final = 120
"""What a bundle keeps of a trace, its last lines: the failing thread of a dump comes last."""
LINE_LENGTH_MAX: Final = 400
FRAMES_MAX: Final = 5
"""The innermost ones: what stands further out is the same for many faults."""

_FRAME: Final = re.compile(r'^[\s|+-]*File "(?P<path>[^"]+)", line \d+,? in (?P<name>.+?)\s*$')
_LIBRARY: Final = re.compile(r"^<frozen |/lib(64)?/python\d")
"""The standard library, and what is installed beside it."""
_HEAD: Final = re.compile(r"(^|[\s:])(Exception Group )?Traceback \(most recent call last\):\s*$")
_GROUP_HEAD: Final = "Exception Group Traceback"
_GROUP_ERROR: Final = re.compile(r"^\s+\| (?P<error>[A-Za-z_][\w.]*(: .*)?)$")
_LINKS: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_IGNORED: Final = "Exception ignored in"
"""Stands above a traceback of what the interpreter met while it ended, mostly for another reason."""
_LINK_LENGTH: Final = 3
"""A blank line, what links two tracebacks, a blank line."""
_FATAL: Final = re.compile(r"^Fatal Python error: (?P<error>.*)$")
_THREAD: Final = re.compile(
    r"^(?P<current>Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):$"
)
_DUMP_LINE: Final = re.compile(
    r"^(  (File|Binary file|\.\.\.|<)|Current thread's C stack trace|Python runtime state:"
    r"|Extension modules:|Stack \(most recent call first\):|\s*$)"
)
_SIGNAL_ERRORS: Final = frozenset(
    {
        "Segmentation fault",
        "Aborted",
        "Bus error",
        "Illegal instruction",
        "Floating point exception",
    }
)
"""They say no more than the signal does."""


class _Frame(NamedTuple):
    name: str
    is_own: bool


class TraceKind(StrEnum):
    """What made a program write its stack."""

    UNCAUGHT = "uncaught"
    """An exception."""
    FATAL = "fatal"
    """A signal or an error of the interpreter that ended it."""
    DUMP = "dump"
    """Somebody asked, or its first lines are not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A stack trace in a log.

    Args:
        kind: What made the program write it.
        lines: As they were written, cut; at most `TRACE_LINES_MAX`.
        frames: Where it was, as `folder/module.py:function`, the innermost first.
        place: The innermost of them that is the program's own, and no library's; empty if there is no frame.
        error: The exception with its message, fit to be shown; empty where it says no more than the signal.
        start: Index of its first line in the log.
        left: How many lines the program wrote after it.
    """

    kind: TraceKind
    lines: tuple[str, ...]
    frames: tuple[str, ...]
    place: str
    error: str
    start: int
    left: int


def find_trace(lines: Sequence[str]) -> Trace | None:
    """Find the last stack trace among the lines of a log; None if there is none.

    Args:
        lines: Oldest first.
    """
    found: Trace | None = None
    index = 0
    while index < len(lines):
        trace = _trace_at(lines, index)
        if trace is None:
            index += 1
            continue
        if found is None or not _is_ignored(lines, index):
            found = trace
        index = len(lines) - trace.left
    return found


def _is_ignored(lines: Sequence[str], start: int) -> bool:
    return start > 0 and lines[start - 1].startswith(_IGNORED)


def _trace_at(lines: Sequence[str], start: int) -> Trace | None:
    line = lines[start]
    if _HEAD.search(line):
        return _uncaught(lines, start)
    if _FATAL.match(line) or _THREAD.match(line):
        return _dumped(lines, start)
    return None


def _uncaught(lines: Sequence[str], start: int) -> Trace:
    """Read a traceback and those that it is linked to; the last one tells what ended the program."""
    head = start
    end, error = _section_end(lines, head)
    while (next_head := _linked_head(lines, end)) is not None:
        head = next_head
        end, error = _section_end(lines, head)
    frames = [frame for line in reversed(lines[head:end]) if (frame := _frame_of(line))]
    return Trace(
        kind=TraceKind.UNCAUGHT,
        lines=_kept(lines[start:end]),
        frames=_innermost(frames),
        place=_own(frames),
        error=shown(error),
        start=start,
        left=len(lines) - end,
    )


def _section_end(lines: Sequence[str], head: int) -> tuple[int, str]:
    """Give the index behind one traceback, and its exception with the message."""
    is_group = _GROUP_HEAD in lines[head]
    error = ""
    for index in range(head + 1, len(lines)):
        line = lines[index]
        if is_group and not error and (match := _GROUP_ERROR.match(line)):
            error = match["error"]
        if not line.startswith((" ", "\t")):
            return (index, error) if is_group else (index + 1, line)
    return len(lines), error


def _linked_head(lines: Sequence[str], end: int) -> int | None:
    head = end + _LINK_LENGTH
    if head >= len(lines) or lines[end + 1].strip() not in _LINKS or not _HEAD.search(lines[head]):
        return None
    return head


def _dumped(lines: Sequence[str], start: int) -> Trace:
    """Read what faulthandler wrote of all threads; the one that failed is the current one."""
    fatal = _FATAL.match(lines[start])
    end = start + 1
    while end < len(lines) and (_THREAD.match(lines[end]) or _DUMP_LINE.match(lines[end])):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    error = fatal["error"] if fatal else ""
    frames = _frames_of_current(lines[start:end])
    return Trace(
        kind=TraceKind.FATAL if fatal else TraceKind.DUMP,
        lines=_kept(lines[start:end]),
        frames=_innermost(frames),
        place=_own(frames),
        error="" if error in _SIGNAL_ERRORS else shown(error),
        start=start,
        left=len(lines) - end,
    )


def _frames_of_current(lines: Sequence[str]) -> list[_Frame]:
    """Give the frames of the thread that failed; of the first one where none says so."""
    threads = [(i, m) for i, line in enumerate(lines) if (m := _THREAD.match(line))]
    if not threads:
        return [frame for line in lines if (frame := _frame_of(line))]
    begin = next((i for i, match in threads if match["current"] != "Thread"), threads[0][0])
    frames: list[_Frame] = []
    for line in lines[begin + 1 :]:
        frame = _frame_of(line)
        if frame is None:
            break
        frames.append(frame)
    return frames


def _frame_of(line: str) -> _Frame | None:
    """Name a frame by its module and function, which outlive a change of lines; None if it is none."""
    match = _FRAME.match(line[:LINE_LENGTH_MAX])
    if match is None:
        return None
    name = f"{'/'.join(PurePath(match['path']).parts[-2:])}:{match['name']}"
    return _Frame(name, _LIBRARY.search(match["path"]) is None)


def _own(frames: Sequence[_Frame]) -> str:
    """Name the innermost frame of the program itself, or of a library if all are."""
    own = (frame.name for frame in frames if frame.is_own)
    return next(own, frames[0].name if frames else "")


def _innermost(frames: Sequence[_Frame]) -> tuple[str, ...]:
    """Keep the innermost frames; a function that calls itself is one."""
    kept: list[str] = []
    for frame in frames:
        if not kept or kept[-1] != frame.name:
            kept.append(frame.name)
        if len(kept) == FRAMES_MAX:
            break
    return tuple(kept)


def _kept(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line[:LINE_LENGTH_MAX] for line in lines[-TRACE_LINES_MAX:])
