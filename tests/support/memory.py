"""Folders in memory, for tests that do not depend on how a disk keeps its word: it would take most of their time."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")
PREFIX = "resile-test-"
"""Of the names of these folders."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give a private folder, in memory where files there may have attributes; removed at the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=_place()) as folder:
        yield Path(folder)


@cache
def _place() -> Path | None:
    try:
        with tempfile.NamedTemporaryFile(prefix=PREFIX, dir=_MEMORY) as file:
            os.setxattr(file.fileno(), "user.test", b"1")
    except OSError:
        return None
    return _MEMORY
