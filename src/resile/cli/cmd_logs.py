"""`resile logs`: a service's output, from the files that the guard writes."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_json_line
from resile.cli.places import Places, find_places
from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError

LINES_MAX = 100_000
_POLL_S = 0.2
_CHUNK_BYTES = 1 << 16
_ROTATED_MAX = 1000
"""As many rotated files as the configuration allows."""


@click.command()
@click.argument("service")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=100,
    show_default=True,
    help="So many of the last lines.",
)
@config_option
@json_option
def command(service: str, config: Path | None, *, follow: bool, lines: int, as_json: bool) -> None:
    """Show the output of SERVICE; `guard` is the daemon's own, when it runs in the background.

    Needs no daemon. With --follow --json each line is a JSON text of its own.
    """
    places = find_places(config)
    path = places.logs / f"{service}.log"
    if "/" in service or not path.is_file():
        raise ConfigError(f"there is no output of {service!r}", hint=_known(places))
    if follow:
        with Follower(path) as follower:
            _show(last_lines(path, lines, end=follower.position), as_json=as_json)
            while True:
                _show(follower.read(), as_json=as_json)
                SYSTEM_CLOCK.sleep(_POLL_S)
    last = last_lines(path, lines)
    if as_json:
        print_json({"service": service, "lines": last})
    else:
        _show(last, as_json=False)


def last_lines(path: Path, count: int, *, end: int | None = None) -> list[str]:
    """Give the last lines of a log, older rotated files included; of the newest up to `end`."""
    found: deque[bytes] = deque()
    files = [path, *(path.with_name(f"{path.name}.{i}") for i in range(1, _ROTATED_MAX + 1))]
    for file in files:
        if len(found) >= count or not file.is_file():
            break
        found.extendleft(reversed(_tail(file, count - len(found), end)))
        end = None
    return [_text(line) for line in found]


class Follower:
    """Reads what is appended to a log, over its rotations. Not thread-safe.

    Begins at the end. A file that was rotated away is read to its end before the new one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self.position = self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def read(self) -> Iterator[str]:
        """Yield the whole lines that have come since the last time."""
        is_rotated = self._is_rotated()
        yield from self._lines()
        if is_rotated:
            self._file.close()
            self._file = self._path.open("rb")
            yield from self._lines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _lines(self) -> Iterator[str]:
        while chunk := self._file.read(_CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from (_text(line) for line in lines)

    def _is_rotated(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


def _tail(file: Path, count: int, end: int | None) -> list[bytes]:
    """Read backwards in chunks until there are enough lines."""
    with file.open("rb") as opened:
        at = opened.seek(0, os.SEEK_END) if end is None else end
        content = b""
        while at > 0 and content.count(b"\n") <= count:
            size = min(_CHUNK_BYTES, at)
            at -= size
            opened.seek(at)
            content = opened.read(size) + content
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    return lines[-count:] if count else []


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _known(places: Places) -> str:
    names = sorted(path.stem for path in places.logs.glob("*.log"))
    return f"there is output of {', '.join(names)}" if names else "nothing was started here yet"


def _show(lines: Iterable[str], *, as_json: bool) -> None:
    for line in lines:
        if as_json:
            print_json_line(line)
        else:
            print(line, flush=True)
