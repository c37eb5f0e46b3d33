"""The folder of a local store: found, made when it is new, and never mistaken for another one."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resile.errors import StoreError
from resile.store.backends._failures import failing_as
from resile.store.backends._opening import opened_folder, opened_root
from resile.store.backends.disk import Disk


class StoreFolder:
    """Opens the store's folder and those in it. Safe to share between threads.

    Args:
        path: Where it is.
        disk: What makes folders.
        identity: Its device and inode, if it was seen before. Default: those of the folder that
            is seen first.
    """

    def __init__(self, path: Path, disk: Disk, identity: tuple[int, int] | None = None) -> None:
        self.path = path
        self.disk = disk
        self._lock = threading.Lock()
        self._identity = identity
        self._durable: set[str] = set()

    @property
    def identity(self) -> tuple[int, int] | None:
        """Its device and inode; None until it was seen."""
        return self._identity

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the store's folder.

        Raises:
            StoreError: If it was there before and is not, or is another one: a disk was unmounted.
            FileNotFoundError: If it was never there.
            OSError: If it cannot be opened.
        """
        with ExitStack() as stack:
            try:
                fd = stack.enter_context(opened_root(self.path))
            except FileNotFoundError:
                if self._identity is None:
                    raise
                raise self._vanished("is gone") from None
            status = os.fstat(fd)
            identity = (status.st_dev, status.st_ino)
            with self._lock:
                self._identity = self._identity or identity
            if self._identity != identity:
                raise self._vanished("is not the folder that it was a moment ago")
            yield fd

    @contextmanager
    def made(self, name: str) -> Iterator[tuple[int, int]]:
        """Open the store's folder and one in it; make what is missing, durable.

        Whether a folder that is there would outlive a power cut cannot be seen, so what holds
        it is synced once by each object of this class.

        Raises:
            OSError: If it cannot be made.
            StoreDamagedError: If there is a link, or no folder.
        """
        if self._identity is None:
            self._make_root()
        with self.opened() as root_fd:
            if name and name not in self._durable:
                self.disk.make_folder(name, folder_fd=root_fd)
                self.disk.sync(root_fd)
                self._durable.add(name)
            with opened_folder(root_fd, name) as fd:
                yield root_fd, fd

    def _make_root(self) -> None:
        missing = [self.path]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for folder in reversed(missing):
            self.disk.make_folder(str(folder), folder_fd=None)
            self._sync_parent(folder)

    def _sync_parent(self, folder: Path) -> None:
        try:
            with opened_root(folder.parent) as fd:
                self.disk.sync(fd)
        except PermissionError:
            # Whoever may not read the folder above did not make this one, or may not do more.
            return

    @contextmanager
    def failing_as(self, what: str) -> Iterator[None]:
        """Raise StoreError for an OSError inside; the message tells the folder."""
        with failing_as(f"{self.path}: {what}"):
            yield

    def _vanished(self, what: str) -> StoreError:
        return StoreError(
            f"{self.path} {what}",
            hint="was its disk unmounted, or the store moved? Try again when it is back",
            is_transient=True,
        )
