"""The names in a workspace's folders, listed in the background while a command runs.

A folder counts only if its ctime is older than the beginning both before and after it was read:
then these are exactly the names that it had at the beginning. What changed before it was its
turn is left out, and so a doubt stays a conflict. Short runs pay for the workspace's own folder
only, and only while it is small: there most new files of runs side by side are made. The rest is
for whoever goes on for longer than `DELAY_S`.
"""

import contextlib
import os
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from resile.core.trees import FOLDER_FLAGS
from resile.store.writeahead.trees import attributes_digest, names_in, open_parent

DELAY_S: Final = 0.2
"""A run that is over sooner meets hardly anybody, and shall not be slowed; its owner waits."""
ROOT_NAMES_MAX: Final = 256
"""So many names in the workspace's own folder are listed at once, in about half a millisecond."""
NAMES_MAX: Final = 200_000
"""About 20 MB of memory; a workspace beyond is listed as far as this goes, from the top down."""
_PAUSE_EVERY: Final = 64
_PAUSE_S: Final = 0.002
"""Between batches of folders: a listing must not take a core from what it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A folder as it was at the beginning.

    Args:
        inode: Its identity.
        attributes: The digest of its mode, owner and attributes.
        names: Of all that was in it.
    """

    inode: int
    attributes: str
    names: frozenset[str]


class Listing:
    """Lists one workspace. Its owner's thread alone may call it; `folder` may be asked by any."""

    def __init__(self, root: Path, threshold_ns: int, *, names_max: int = NAMES_MAX) -> None:
        self._root = root
        self._threshold_ns = threshold_ns
        self._left = names_max
        self._folders: dict[str, Listed] = {}
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def list_root(self) -> None:
        """List the workspace's own folder, if it is small."""
        with contextlib.suppress(OSError):
            root_fd = os.open(self._root, FOLDER_FLAGS)
            try:
                if _is_small(root_fd):
                    self._list_one(root_fd, ".")
            finally:
                os.close(root_fd)

    def start(self) -> None:
        """List all folders in the background. Nothing happens the second time, or after the end."""
        if self._thread is None and not self._is_stopped.is_set():
            self._thread = threading.Thread(target=self._run, name="resile-listing", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; what was listed stays known. May be called twice; waits for one folder at most."""
        self._is_stopped.set()
        self.wait_complete()

    def wait_complete(self) -> None:
        """Wait until all is listed that will be."""
        if self._thread is not None:
            self._thread.join()

    def folder(self, path: str) -> Listed | None:
        """Give a folder as it was at the beginning; None if that is not known."""
        return self._folders.get(path)

    def _run(self) -> None:
        try:
            root_fd = os.open(self._root, FOLDER_FLAGS)
        except OSError:
            return
        try:
            self._list_all(root_fd)
        finally:
            os.close(root_fd)

    def _list_all(self, root_fd: int) -> None:
        waiting = deque(["."])
        count = 0
        while waiting and self._left > 0 and not self._is_stopped.is_set():
            path = waiting.popleft()
            try:
                waiting.extend(self._list_one(root_fd, path))
            except OSError:
                continue  # It is gone or closed to us; without a list it stays in doubt.
            count += 1
            if count % _PAUSE_EVERY == 0:
                self._is_stopped.wait(_PAUSE_S)

    def _list_one(self, root_fd: int, path: str) -> list[str]:
        """Note one folder, and give those in it."""
        with open_parent(root_fd, path) as (parent_fd, name):
            fd = os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
            try:
                names = names_in(fd)
                attributes = attributes_digest(fd, ".", os.fstat(fd))
                below = [entry for entry in names if _is_folder(fd, entry)]
                status = os.fstat(fd)
            finally:
                os.close(fd)
        if status.st_ctime_ns < self._threshold_ns:
            self._folders[path] = Listed(
                inode=status.st_ino, attributes=attributes, names=frozenset(names)
            )
        self._left -= len(names) + 1
        return [entry if path == "." else f"{path}/{entry}" for entry in below]


def _is_small(fd: int) -> bool:
    with os.scandir(fd) as entries:
        return sum(1 for _ in islice(entries, ROOT_NAMES_MAX + 1)) <= ROOT_NAMES_MAX


def _is_folder(fd: int, name: str) -> bool:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode & 0o170000 == 0o040000
    except OSError:
        return False
