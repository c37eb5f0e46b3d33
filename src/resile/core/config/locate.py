"""Find the line on which each key of a TOML document stands.

`tomllib` forgets lines; this scanner finds them again, for messages only. It expects a document
that `tomllib` has accepted, and where it is at a loss it gives the line of the table around.
"""

import tomllib

from resile.core.config.faults import Path

_BARE_STOP = frozenset(" \t\r\n=.]}#,")
_ESCAPE = "\\"


def locate(text: str) -> dict[Path, int]:
    """Map each key's path to its 1-based line.

    Keys of tables, inline tables and arrays are found; items of an array by their index.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Give the line of a key, or of the nearest table around it; 1 if there is none."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return 1


class _Scanner:
    """Walks over a document once. Not thread-safe."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._arrays: dict[Path, int] = {}

    def document(self) -> None:
        """Read tables and their keys to the end."""
        table: Path = ()
        while self._skip_blank():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._take(2 if is_array else 1)
        path = self._through_arrays(self._key(), is_new_item=is_array)
        self._take(2 if is_array else 1)
        self.lines.setdefault(path, line)
        return path

    def _through_arrays(self, keys: list[str], *, is_new_item: bool) -> Path:
        """Insert the index of the last item behind each key that names an array of tables."""
        path: Path = ()
        for depth, key in enumerate(keys, start=1):
            path = (*path, key)
            self.lines.setdefault(path, self._line)
            if is_new_item and depth == len(keys):
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _pair(self, table: Path) -> None:
        line = self._line
        keys = self._key()
        for depth in range(1, len(keys) + 1):
            self.lines.setdefault((*table, *keys[:depth]), line)
        self._skip_blank()
        self._take(1)  # the equals sign
        self._value((*table, *keys))

    def _key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip_blank()
            quote = self._peek()
            keys.append(self._quoted(quote) if quote in ('"', "'") else self._bare())
            self._skip_blank()
            if self._peek() != ".":
                return keys
            self._take(1)

    def _quoted(self, quote: str) -> str:
        key = self._string(quote)
        if quote == '"' and _ESCAPE in key:
            return str(tomllib.loads(f'key = "{key}"')["key"])
        return key

    def _value(self, path: Path) -> None:
        self._skip_blank()
        first = self._peek()
        if first == "{":
            self._items("}", path, is_table=True)
        elif first == "[":
            self._items("]", path, is_table=False)
        elif first in ('"', "'"):
            self._string(first)
        else:
            self._bare(stop=frozenset("\r\n#,]}"))

    def _items(self, close: str, path: Path, *, is_table: bool) -> None:
        self._take(1)
        index = 0
        while self._skip_blank() and self._peek() != close:
            before = self._at
            if is_table:
                self._pair(path)
            else:
                self.lines.setdefault((*path, index), self._line)
                self._value((*path, index))
            index += 1
            self._skip_blank()
            if self._peek() == "," or self._at == before:
                self._take(1)
        self._take(1)

    def _string(self, quote: str) -> str:
        """Pass a string of any of the four sorts; give its text, escapes left as they are."""
        is_long = self._text.startswith(quote * 3, self._at)
        close = quote * 3 if is_long else quote
        self._take(len(close))
        start = self._at
        while self._at < len(self._text) and not self._text.startswith(close, self._at):
            self._take(2 if quote == '"' and self._peek() == _ESCAPE else 1)
        text = self._text[start : self._at]
        self._take(len(close))
        while is_long and self._peek() == quote:  # a long string may end in up to five quotes
            self._take(1)
        return text

    def _bare(self, stop: frozenset[str] = _BARE_STOP) -> str:
        start = self._at
        while self._at < len(self._text) and self._peek() not in stop:
            self._take(1)
        if self._at == start:
            self._take(1)
        return self._text[start : self._at].strip()

    def _skip_blank(self) -> bool:
        """Pass white space and comments; False at the end of the text."""
        while self._peek() in (" ", "\t", "\r", "\n", "#"):
            if self._peek() == "#":
                while self._peek() not in ("\n", ""):
                    self._take(1)
            else:
                self._take(1)
        return self._at < len(self._text)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count
