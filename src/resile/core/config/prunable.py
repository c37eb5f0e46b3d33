"""Patterns of files that may be removed at any time to make room."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from resile.core.config.faults import Fault, fault, quoted
from resile.core.config.faults import Path as Key

_HINT = 'write for example "cache/*.tmp", or "cache" for all files below it'


def _pattern(value: str) -> str:
    parts = tuple(part for part in PurePosixPath(value).parts if part.strip("/"))
    if not parts:
        raise fault(f"{quoted(value)} would be everything", hint=_HINT)
    if ".." in parts:
        raise fault(f"{quoted(value)} leads out of its folder", hint=_HINT)
    if "**" in parts or not any(part.strip("*?") for part in parts):
        raise fault(f"{quoted(value)} does not say what it is", hint=_HINT)
    return value


PrunablePattern = Annotated[str, AfterValidator(_pattern)]
"""Names of folders and of files, `*`, `?` and `[...]` for parts of one name; a folder stands for all files below it."""
PRUNABLE = (
    'Files that may be removed at any time to make room on a full disk, such as "cache/*.tmp"; a folder '
    "stands for all files below it. Links are never followed. "
)


def kept_faults(
    declared: Iterable[tuple[Key, Path, tuple[str, ...]]], *, state: Path
) -> Iterator[Fault]:
    """Find patterns of what lies in the state folder, of which nothing is removed.

    Args:
        declared: The key of each list of patterns, where relative ones start, and the patterns.
        state: The state folder.
    """
    for key, folder, patterns in declared:
        for index, pattern in enumerate(patterns):
            if _is_inside((folder / pattern).parts, state.parts):
                yield Fault(
                    path=(*key, index),
                    message=f"{quoted(pattern)} is in the state folder {state}",
                    hint="leave it out: resile removes its own old logs and crash bundles by itself",
                )


def _is_inside(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """Tell whether a pattern names a folder, or something in it; `*` alone names nothing."""
    return len(parts) >= len(names) and all(
        part == name or (part.strip("*?") and fnmatchcase(name, part))
        for part, name in zip(parts, names, strict=False)
    )
