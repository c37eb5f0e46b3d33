"""A disk in memory that does later what it was told, or never: effects, and what each may become.

`tests.support.crashes` says what is assumed, and enumerates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

Tree = dict[str, bytes | None]
"""Contents by relative name; None is a folder. The root itself is not in it."""

MEMORIES_MAX = 20_000
"""Contents that are kept for the next states; each may be a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Make:
    """A new empty file; nothing if it is there already. Nameless ones get a name by `Link`."""

    name: str
    is_nameless: bool = False


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """A new folder."""

    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of a file, at an offset; None: at its end."""

    name: str
    offset: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A new length of a file; where it may not shrink, nothing if it is as long already."""

    name: str
    size: int
    may_shrink: bool = True


@dataclass(frozen=True, slots=True)
class Rename:
    """Another name, over what has it."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A second name; the first one of a nameless file."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A name less: of a file or an empty folder."""

    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    """What came before is durable: bytes of a file, or names in a folder; `""` is the root.

    Args:
        name: Of the file or folder; None: everything.
        seen: How many effects had ended when the sync began, which are those that it keeps;
            None: all before it.
    """

    name: str | None
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What the program told others, and may not be wrong after a crash."""

    text: str


Effect = Make | MakeFolder | Write | Resize | Rename | Link | Remove | Sync | Note


class Fate(Enum):
    """What became of a change that was not synced."""

    KEPT = "kept"
    LOST = "lost"
    ZEROS = "zeros"
    HALF = "half"
    ALL_BUT_ONE = "all but one byte"


_FATES_OF_BYTES = tuple(Fate)
_FATES = (Fate.KEPT, Fate.LOST)
Choice = Mapping[int, Fate]
"""By number of the change; what is not in it is kept."""


@dataclass(slots=True)
class Change:
    """One thing that a disk does later: bytes, a length, or names that change together.

    Args:
        begin: Which effect it is.
        durable: From which effect on it cannot be lost.
        file: Whose bytes or length; None: names.
        names: (folder, name) to what has the name then; None: nothing.
        places: In which folders names change. A sync of one makes it durable.
    """

    begin: int
    file: int | None = None
    offset: int = 0
    data: bytes | None = None
    size: int = 0
    names: dict[tuple[int, str], int | None] = field(default_factory=dict)
    durable: float = math.inf

    @property
    def fates(self) -> tuple[Fate, ...]:
        return _FATES_OF_BYTES if self.data else _FATES

    def touches(self, node: int) -> bool:
        return self.file == node or any(folder == node for folder, _ in self.names)


class Disk:
    """Files and folders by number, and all changes to them. 0 is the root."""

    def __init__(self, effects: Sequence[Effect], start: Mapping[str, bytes | None]) -> None:
        self.changes: list[Change] = []
        self._entries: dict[int, dict[str, int]] = {0: {}}
        self._contents: dict[int, bytes] = {}
        self._sizes: dict[int, int] = {}
        self._nameless: dict[str, int] = {}
        self._memory: dict[tuple[object, ...], bytes] = {}
        for name, content in sorted(start.items()):
            folder, last = self._place(name)
            self._entries[folder][last] = self._new(content)
        self._start = {node: dict(names) for node, names in self._entries.items()}
        for index, effect in enumerate(effects):
            self._do(index, effect)

    def pending(self, after: int) -> list[int]:
        """Give the numbers of changes that may still be lost."""
        changes = enumerate(self.changes)
        return [number for number, c in changes if c.begin < after <= c.durable]

    def tree(self, after: int, choice: Choice) -> Tree:
        """Give what is there if the pending changes have these fates."""
        entries = {node: dict(names) for node, names in self._start.items()}
        history: dict[int, list[tuple[int, Fate]]] = {}
        for number, change in enumerate(self.changes):
            fate = choice.get(number, Fate.KEPT)
            if change.begin >= after:
                break
            if fate is Fate.LOST:
                continue
            if change.file is not None:
                history.setdefault(change.file, []).append((number, fate))
            for (folder, name), node in change.names.items():
                if node is None:
                    entries.setdefault(folder, {}).pop(name, None)
                else:
                    entries.setdefault(folder, {})[name] = node
        found: Tree = {}
        self._collect(0, "", entries, history, found)
        return found

    def _collect(
        self,
        folder: int,
        above: str,
        entries: dict[int, dict[str, int]],
        history: dict[int, list[tuple[int, Fate]]],
        found: Tree,
    ) -> None:
        for name, node in entries.get(folder, {}).items():
            if node in self._contents:
                found[above + name] = self._content(node, history.get(node, []))
            else:
                found[above + name] = None
                self._collect(node, f"{above}{name}/", entries, history, found)

    def _content(self, node: int, history: list[tuple[int, Fate]]) -> bytes:
        key = (node, *history)
        content = self._memory.get(key)
        if content is None:
            content = self._contents[node]
            for number, fate in history:
                content = _changed(content, self.changes[number], fate)
            if len(self._memory) < MEMORIES_MAX:
                self._memory[key] = content
        return content

    def _do(self, index: int, effect: Effect) -> None:
        match effect:
            case Make(name, is_nameless=True):
                self._nameless[name] = self._new(b"")
            case Make(name):
                folder, last = self._place(name)
                if last not in self._entries[folder]:
                    self._rename(index, {(folder, last): self._new(b"")})
            case MakeFolder(name):
                self._rename(index, {self._place(name): self._new(None)})
            case Write(name, offset, data):
                self._write(index, self._node(name), offset, data)
            case Resize(name, size, may_shrink):
                node = self._node(name)
                if may_shrink or size > self._sizes[node]:
                    self._sizes[node] = size
                    self.changes.append(Change(begin=index, file=node, size=size))
            case Rename(source, target):
                node = self._node(source)
                if self._find(target) != node:
                    self._rename(index, {self._place(source): None, self._place(target): node})
            case Link(source, target):
                self._rename(index, {self._place(target): self._node(source)})
            case Remove(name):
                self._rename(index, {self._place(name): None})
            case Sync(name, seen):
                self._settle(index, None if name is None else self._node(name), seen)
            case Note():
                pass

    def _write(self, index: int, node: int, offset: int | None, data: bytes) -> None:
        at = self._sizes[node] if offset is None else offset
        self._sizes[node] = max(self._sizes[node], at + len(data))
        self.changes.append(Change(begin=index, file=node, offset=at, data=data))

    def _settle(self, index: int, node: int | None, seen: int | None) -> None:
        for change in self.changes:
            is_seen = seen is None or change.begin < seen
            if is_seen and (node is None or change.touches(node)):
                change.durable = min(change.durable, index)

    def _rename(self, index: int, names: dict[tuple[int, str], int | None]) -> None:
        self.changes.append(Change(begin=index, names=names))
        for (folder, name), node in names.items():
            if node is None:
                del self._entries[folder][name]
            else:
                self._entries[folder][name] = node

    def _new(self, content: bytes | None) -> int:
        node = len(self._entries) + len(self._contents)
        if content is None:
            self._entries[node] = {}
        else:
            self._contents[node] = content
            self._sizes[node] = len(content)
        return node

    def _place(self, name: str) -> tuple[int, str]:
        path = PurePosixPath(name)
        return self._node("" if path.parent == PurePosixPath() else f"{path.parent}"), path.name

    def _node(self, name: str) -> int:
        node = self._find(name)
        if node is None:
            raise AssertionError(f"there is no {name!r} at this point of the effects")
        return node

    def _find(self, name: str) -> int | None:
        if name in self._nameless:
            return self._nameless[name]
        node: int | None = 0
        for part in PurePosixPath(name).parts:
            node = None if node is None else self._entries.get(node, {}).get(part)
        return node


def _changed(content: bytes, change: Change, fate: Fate) -> bytes:
    if change.data is None:
        return content[: change.size].ljust(change.size, b"\0")
    data, end = change.data, change.offset + len(change.data)
    if fate is Fate.ZEROS:
        return content.ljust(end, b"\0")
    if fate is Fate.HALF:
        data = data[: len(data) // 2]
    elif fate is Fate.ALL_BUT_ONE:
        data = data[:-1]
    before = content[: change.offset].ljust(change.offset, b"\0") if data else content
    return before + data + content[change.offset + len(data) :] if data else content
