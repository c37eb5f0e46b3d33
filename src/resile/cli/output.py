"""What the subcommands print: JSON, tables, lines. Colours only where a terminal shows them.

Text from outside (a service's status line, a reason) is freed of control characters, so that no
service can play with the operator's terminal.
"""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

STYLES = {
    "UP": "green",
    "DEGRADED": "yellow",
    "DOWN": "bold red",
    "MAINTENANCE": "blue",
    "SUPPRESSED": "magenta",
    "UNKNOWN": "dim",
    "ok": "green",
    "warn": "yellow",
    "missing": "red",
    "open": "bold red",
    "acknowledged": "yellow",
    "monitoring": "blue",
    "resolved": "green",
    "CLOSED": "green",
    "HALF_OPEN": "yellow",
}
"""The colour of a word that stands alone in a cell."""

_CELL_GAP = "  "


def print_json(data: Any) -> None:
    """Print data as indented JSON."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def print_json_line(data: Any) -> None:
    """Print data as one line of JSON, at once: for what goes on."""
    print(json.dumps(data, ensure_ascii=False), flush=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under heads: with colours on a terminal, aligned text in a pipe."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(heads, cleaned)
    else:
        _print_plain(heads, cleaned)


def print_styled(text: str, style: str) -> None:
    """Print one line; in this colour on a terminal."""
    text = clean(text)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False, soft_wrap=True).print(Text(text, style=style))
    else:
        print(text)


def say(text: str) -> None:
    """Print progress on stderr, where it does not mix with the answer."""
    print(text, file=sys.stderr, flush=True)


def clean(text: str) -> str:
    """Replace line breaks by spaces, and drop every other control character."""
    if text.isprintable():
        return text
    spaced = text.replace("\n", " ").replace("\t", " ")
    return "".join(char for char in spaced if char.isprintable())


def local_time(text: str | None) -> str:
    """Write an ISO time for people, in the time of this machine, to the millisecond; nothing for None."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().isoformat(" ", "milliseconds")[:23]


def _print_plain(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [[head.upper() for head in heads], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print(_CELL_GAP.join(cells).rstrip())


def _print_rich(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)
