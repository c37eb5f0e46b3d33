"""Tell notices on the terminal: a box where a person reads, one plain line where a program does."""

import os
import sys
import textwrap
import threading
import unicodedata
from typing import TYPE_CHECKING, Final, TextIO

from resile.core.vocabulary import NoticeChoice, ServiceState
from resile.degradation.model import Notice

if TYPE_CHECKING:
    from resile.degradation.manager import Degradation

WIDTH_MAX: Final = 64
"""Of a box in columns: text that is wider is hard to read."""
WIDTH_MIN: Final = 24
ANSWER_BYTES_MAX: Final = 64
_ROUND: Final = "┌─┐│└┘"
_ASCII: Final = "+-+|++"
_LABELS: Final = {NoticeChoice.RETRY: "Retry", NoticeChoice.CONTINUE: "Continue"}
_JOINER: Final = "\u200d"
_EMOJI: Final = "\ufe0f"
"""Behind a character, it makes it a picture, which is two columns wide."""


class Terminal:
    """Writes notices to a stream; to be given to a manager as one of its `notify`.

    Each is written at once, so that two threads do not mix theirs. A stream that cannot be written
    to is left alone. Safe to share between threads.

    Args:
        stream: Default: what `sys.stderr` is at the time.
        title: What works in degraded mode, as people know it.
    """

    def __init__(self, *, stream: TextIO | None = None, title: str = "This program") -> None:
        self._stream = stream
        self._title = _plain(title)
        self._lock = threading.Lock()

    def __call__(self, notice: Notice) -> None:
        """Write a notice."""
        stream = self._stream or sys.stderr
        try:
            text = self.written(notice, is_for_people=stream.isatty(), encoding=stream.encoding)
            with self._lock:
                stream.write(text + "\n")
                stream.flush()
        except (OSError, ValueError):
            return  # Closed, or a pipe without a reader: a program does not end over a notice.

    def written(self, notice: Notice, *, is_for_people: bool, encoding: str | None) -> str:
        """Give a notice as it is written: a box for people, else one line.

        Args:
            notice: What to tell.
            is_for_people: True for a terminal.
            encoding: Of the stream; without UTF the box is made of ASCII.
        """
        text = _plain(notice.text)
        if not is_for_people:
            return f"{notice.state}: {notice.service}: {text}"
        is_rich = (encoding or "").lower().startswith("utf")
        if notice.is_over:
            return f"{'✓' if is_rich else 'ok'} {text}"
        head = f"{'⚠️  ' if is_rich else '! '}{self._title}: {_headline(notice.state)}"
        width = max(WIDTH_MIN, min(WIDTH_MAX, _columns()) - 4)
        choices = "  ".join(f"[{_LABELS[choice]}]" for choice in notice.choices)
        lines = [head, "", *textwrap.wrap(text, width), "", choices]
        return "\n".join(_box(lines, _ROUND if is_rich else _ASCII))


def ask(services: "Degradation", notice: Notice, *, timeout_s: float = 60.0) -> NoticeChoice | None:
    """Ask at the terminal what to do about a notice, and have it done. Blocks.

    For programs that a person runs: a notice is told beside the work, this is the work.

    Args:
        services: Whose notice it is.
        notice: An open notice.
        timeout_s: How long to wait for an answer.

    Returns:
        What was chosen; None without a terminal, an answer in time, or a known word.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    sys.stderr.write("[r]etry or [c]ontinue? ")
    sys.stderr.flush()
    word = _line(timeout_s).strip().lower()
    chosen = [choice for choice in notice.choices if word and choice.value.startswith(word)]
    if not chosen:
        return None
    services.choose(notice.id, chosen[0], who=os.environ.get("USER", ""))
    return chosen[0]


def _line(timeout_s: float) -> str:
    """Read a short line from the terminal; empty if none comes in time."""
    import select

    fd = sys.stdin.fileno()
    if not select.select([fd], [], [], timeout_s)[0]:
        return ""
    return os.read(fd, ANSWER_BYTES_MAX).decode(errors="replace")


def _headline(state: ServiceState) -> str:
    if state is ServiceState.CRITICAL:
        return "Part of It Does Not Work"
    return "Operating in Degraded Mode"


def _box(lines: list[str], corners: str) -> list[str]:
    left, line, right, side, low_left, low_right = tuple(corners)
    inner = max(_width(text) for text in lines)
    middle = [f"{side} {text}{' ' * (inner - _width(text))} {side}" for text in lines]
    bar = line * (inner + 2)
    return [f"{left}{bar}{right}", *middle, f"{low_left}{bar}{low_right}"]


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return WIDTH_MAX


def _width(text: str) -> int:
    """Tell the columns of a text: wide letters have two, what is put over another none."""
    columns = 0
    for before, letter in zip(" " + text, text, strict=False):
        if letter == _EMOJI:
            columns += 0 if unicodedata.east_asian_width(before) in "WF" else 1
        elif letter != _JOINER and not unicodedata.combining(letter):
            columns += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return columns


def _plain(text: str) -> str:
    """Leave out what a terminal would take as an order: reasons come from outside."""
    kept = "".join(" " if letter.isspace() else letter for letter in text)
    return "".join(letter for letter in kept if letter.isprintable() or letter in _JOINER + _EMOJI)
