"""Every effect of the log on the disk; each passes a gate first, where tests end it or let it fail."""

import os
from pathlib import Path

from resile.core.files import PRIVATE_FILE_MODE, SYSTEM_FILES
from resile.errors import OperationError
from resile.store.writeahead.gate import OPEN_GATE, Gate

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class LogFiles:
    """The effects. Every method raises OSError. Safe to share between threads."""

    def __init__(self, gate: Gate = OPEN_GATE) -> None:
        self._gate = gate

    def open(self, path: Path) -> int:
        """Open a file of the log, never through a link; the caller closes it."""
        return os.open(path, _FLAGS)

    def close(self, fd: int) -> None:
        """Close a file of the log."""
        os.close(fd)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of it at an offset; not durable."""
        self._gate.before("log_write", "")
        view = memoryview(data)
        while view:
            done = os.pwrite(fd, view, offset)
            view, offset = view[done:], offset + done

    def sync(self, fd: int) -> None:
        """Make what was written to a file durable."""
        self._gate.before("log_sync", "")
        os.fdatasync(fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Cut a file off; durable."""
        self._gate.before("log_truncate", "")
        os.ftruncate(fd, size_bytes)
        os.fsync(fd)

    def create(self, path: Path, data: bytes, *, mode: int = PRIVATE_FILE_MODE) -> None:
        """Make a new file with this content, synced; refuses what exists."""
        self._gate.before("log_create", path.name)
        SYSTEM_FILES.create(path, data, mode=mode)

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over the target if there is one; atomic."""
        self._gate.before("log_replace", target.name)
        SYSTEM_FILES.replace(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file if there is one."""
        self._gate.before("log_remove", path.name)
        SYSTEM_FILES.remove(path)

    def protect(self, path: Path) -> None:
        """Take everybody's permission to write away."""
        self._gate.before("log_protect", path.name)
        SYSTEM_FILES.protect(path)

    def sync_folder(self, folder: Path) -> None:
        """Make a folder's entries durable."""
        self._gate.before("log_sync_folder", folder.name)
        SYSTEM_FILES.sync_folder(folder)


def reason(error: OSError | OperationError) -> str:
    """Say in a few words why an effect failed."""
    if isinstance(error, OperationError):
        return error.message
    return error.strerror or str(error)
