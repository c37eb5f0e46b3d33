"""Folders for transactions."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where a sync costs nothing; where that lacks attributes, on the disk."""
    folder = tmp_path
    if os.access(MEMORY, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix="resile-test-", dir=MEMORY))
    try:
        os.setxattr(folder, "user.test", b"1")
        os.removexattr(folder, "user.test")
    except OSError:
        shutil.rmtree(folder)
        folder = tmp_path
        folder.mkdir(exist_ok=True)
    yield folder
    if folder != tmp_path:
        shutil.rmtree(folder)
