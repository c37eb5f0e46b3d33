"""Which parts of a snapshot are restored: paths become a tree of names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resile.errors import ConfigError
from resile.store.model import Entry, EntryType
from resile.store.restore.model import Reader, shown

Selection = dict[bytes, "Selection | None"]
"""Names in a folder; None: with all that is below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A selected name, as the snapshot has it.

    Args:
        path: The names that lead to it.
        entry: What it is.
        below: What of it is selected; None: all.
    """

    path: tuple[bytes, ...]
    entry: Entry
    below: Selection | None


def select(paths: Sequence[bytes], root: Entry, reader: Reader) -> Selection | None:
    """Make the selection of these paths; None if it is everything.

    Args:
        paths: Relative to the root of the snapshot. One inside of another one adds nothing. None
            at all, or one that is `.`, is everything.
        root: The snapshot's root.
        reader: Where folders are read.

    Raises:
        ConfigError: If one is absolute, leads out, or is not in the snapshot; tells all such.
        StoreDamagedError: If a folder on the way cannot be read.
    """
    split = {path: _split(path) for path in paths}
    selection: Selection = {}
    for names in split.values():
        if names is not None:
            _add(selection, names)
    there = {one.path for one in walk_chosen(selection, root, reader)}
    problems = tuple(
        f"{shown(path)}: is not in the snapshot"
        for path, names in split.items()
        if names is None
        or (names and not any(names[:end] in there for end in range(1, len(names) + 1)))
    )
    if problems:
        raise ConfigError(
            f"{len(problems)} of the paths are not in the snapshot",
            hint="paths are relative to the folder that was snapshotted; list them: resile ls",
            problems=problems,
        )
    is_everything = not paths or any(not names for names in split.values())
    return None if is_everything else selection


def walk_chosen(selection: Selection, root: Entry, reader: Reader) -> Iterator[Chosen]:
    """Give what is selected with all that is below it, topmost first; what is missing is left out.

    Raises:
        StoreDamagedError: If a folder on the way cannot be read.
    """
    stack: list[tuple[tuple[bytes, ...], Entry, Selection]] = [((), root, selection)]
    while stack:
        path, folder, names = stack.pop()
        for entry in reader.tree(folder.tree) if names else ():
            if entry.name not in names:
                continue
            below = names[entry.name]
            if below is None:
                yield Chosen(path=(*path, entry.name), entry=entry, below=None)
            elif entry.type is EntryType.FOLDER:
                stack.append(((*path, entry.name), entry, below))


def _split(path: bytes) -> tuple[bytes, ...] | None:
    """Split a path into names; None if it cannot be one in a snapshot."""
    names = tuple(name for name in path.split(b"/") if name not in (b"", b"."))
    if path.startswith(b"/") or b".." in names or b"\0" in path:
        return None
    return names


def _add(selection: Selection, names: tuple[bytes, ...]) -> None:
    """Add a path; a shorter one swallows those below it."""
    for name in names[:-1]:
        below = selection.setdefault(name, {})
        if below is None:
            return
        selection = below
    if names:
        selection[names[-1]] = None
