"""Finding the folders that changed, by two processes: most of the time the kernel's, and no thread's lock.

Half a million files are looked at in half the time. What is found is what somebody who watched would
have told: the folders whose entries differ from the last snapshot. What is new below them is found
when they are looked at.

The other process gets the folder open, so that it cannot be led elsewhere.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from resile.core.trees import FOLDER_FLAGS
from resile.errors import OperationError
from resile.store.catalog import Catalog, FolderRow
from resile.store.walk import Rules, scan

if TYPE_CHECKING:
    from resile.store.working import Plain, Serve

ENTRIES_MIN = 100_000
"""Below it one process is done before a second has started (80 ms)."""
_SERVE = f"{__name__}:serve"

Digests = Mapping[bytes, bytes]
"""By the path of a folder, from the source on: what sums up its entries."""


def scouted(catalog: Catalog, source: str, fd: int, rules: Rules) -> frozenset[bytes] | None:
    """Find out which folders of a big source changed; None: look at all of them."""
    if not catalog.seen_by(source):
        return None
    known = catalog.folders(source)
    if b"" not in known or sum(row.files for row in known.values()) < ENTRIES_MIN:
        return None
    return find_changed(fd, known, rules)


def find_changed(
    source_fd: int, known: Mapping[bytes, FolderRow], rules: Rules
) -> frozenset[bytes] | None:
    """List the folders whose entries are not what they were; None if that could not be found out.

    Args:
        source_fd: The source, open.
        known: What its folders looked like; the source itself is among them.
        rules: What is left out.
    """
    # What it loads is nothing for a snapshot of few files, which is over in 0.3 s.
    from resile.store.workers import Workers

    paths = sorted(known, key=lambda path: path.split(b"/"))
    digests = {path: known[path].digest for path in paths}
    half = _middle(paths, known)
    try:
        with Workers(_SERVE, source_fd, kept_fds=(source_fd,), count=1) as scout:
            # It has most of a second for its start, which the other part takes.
            theirs = scout.submit(
                (
                    {path: digests[path] for path in paths[half:]},
                    rules.excludes,
                    rules.device,
                    list(rules.hidden),
                )
            )
            mine = changed_among(source_fd, {path: digests[path] for path in paths[:half]}, rules)
            return frozenset((*mine, *theirs.result()))
    except (OperationError, OSError):
        return None


def changed_among(source_fd: int, digests: Digests, rules: Rules) -> set[bytes]:
    """Look at these folders; list those that are not what they were.

    A folder that cannot be opened is left out: the one that it is in differs, too.
    """
    below: dict[bytes, set[bytes]] = {}
    for path in digests:
        while path:
            parent, _, name = path.rpartition(b"/")
            names = below.setdefault(parent, set())
            if name in names:
                break
            names.add(name)
            path = parent  # noqa: PLW2901 - up to the source
    look = _Look(digests, below, rules)
    look.at(source_fd, b"")
    return look.changed


class _Look:
    """Goes down to the folders that are to be looked at. Not thread-safe."""

    def __init__(self, digests: Digests, below: Mapping[bytes, set[bytes]], rules: Rules) -> None:
        self.changed: set[bytes] = set()
        self._digests = digests
        self._below = below
        self._rules = rules

    def at(self, fd: int, path: bytes) -> None:
        """Look at a folder that is open, and at those below it."""
        digest = self._digests.get(path)
        if digest is not None and (not digest or _digest(fd, path, self._rules) != digest):
            self.changed.add(path)
        for name in self._below.get(path, ()):
            try:
                below = os.open(name, FOLDER_FLAGS, dir_fd=fd)
            except OSError:
                continue
            try:
                self.at(below, path + b"/" + name if path else name)
            finally:
                os.close(below)


def _digest(fd: int, path: bytes, rules: Rules) -> bytes:
    try:
        return scan(fd, os.fsdecode(path), rules).digest
    except OSError:
        return b""  # It differs, then: whoever takes it tells why it cannot be read.


def _middle(paths: list[bytes], known: Mapping[bytes, FolderRow]) -> int:
    """Tell where the paths are to be cut, so that both parts have as many entries."""
    total = sum(known[path].files for path in paths)
    seen = 0
    for index, path in enumerate(paths):
        seen += known[path].files
        if seen * 2 >= total:
            return index + 1
    return len(paths)


def serve(source_fd: int) -> "Serve":
    """Be the other process: look at folders below a source that is open."""

    def look(task: "Plain") -> "Plain":
        digests, excludes, device, hidden = task
        rules = Rules(excludes=excludes, device=device, hidden=frozenset(hidden))
        return list(changed_among(source_fd, digests, rules))

    return look
