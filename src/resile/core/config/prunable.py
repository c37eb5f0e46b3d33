"""Patterns of files that may be removed at any time to make room."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from resile.core.config.faults import fault, quoted

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
