"""Folders in memory, for tests that do not depend on how a disk keeps its word: it would take most of their time."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give a private folder, in memory where there is one; removed at the end."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="resile-test-", dir=where) as folder:
        yield Path(folder)
