"""Finding the folders that changed, by two processes: most of the time the kernel's, and no thread's lock.

Half a million files are looked at in half the time. What is found is what somebody who watched would
have told: the folders whose entries differ from the last snapshot. What is new below them is found
when they are looked at.

A scout is a process of its own: forking a program that has threads is no good. It gets the folder
open, so that it cannot be led elsewhere, and reads what to compare from a pipe.
"""

import marshal
import os
import sys
from collections.abc import Mapping

from resile.core.helper import start_helper
from resile.errors import SpawnError
from resile.store.catalog import FolderRow
from resile.store.walk import FOLDER_FLAGS, Rules, scan

ENTRIES_MIN = 100_000
"""Below it one process is done before a second has started (80 ms)."""
_PIECE_BYTES = 1 << 20

Digests = Mapping[bytes, bytes]
"""By the path of a folder, from the source on: what sums up its entries."""


def find_changed(
    source_fd: int, known: Mapping[bytes, FolderRow], rules: Rules
) -> frozenset[bytes] | None:
    """List the folders whose entries are not what they were; None if that could not be found out.

    Args:
        source_fd: The source, open.
        known: What its folders looked like; the source itself is among them.
        rules: What is left out.
    """
    paths = sorted(known, key=lambda path: path.split(b"/"))
    digests = {path: known[path].digest for path in paths}
    half = _middle(paths, known)
    try:
        # It has most of a second for its start, which the other part takes.
        scout = _Scout(source_fd, {path: digests[path] for path in paths[half:]}, rules)
    except (SpawnError, OSError):
        return None
    try:
        mine = changed_among(source_fd, {path: digests[path] for path in paths[:half]}, rules)
        theirs = scout.answer()
    finally:
        scout.close()
    return None if theirs is None else frozenset((*mine, *theirs))


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


class _Scout:
    """A process that looks at its part. Not thread-safe; to be closed."""

    def __init__(self, source_fd: int, digests: Digests, rules: Rules) -> None:
        task = (dict(digests), rules.excludes, rules.device, list(rules.hidden))
        self._answer_fd, answer_fd = os.pipe()
        task_fd = os.memfd_create("resile-scout")
        try:
            with os.fdopen(os.dup(task_fd), "wb") as file:
                file.write(marshal.dumps(task))
            self._process = start_helper(
                [sys.executable, "-m", __name__, str(source_fd), str(task_fd), str(answer_fd)],
                kept_fds=(source_fd, task_fd, answer_fd),
                env={"PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except BaseException:
            os.close(self._answer_fd)
            raise
        finally:
            os.close(task_fd)
            os.close(answer_fd)

    def answer(self) -> set[bytes] | None:
        """Wait for what it found; None if it died."""
        data = _read_all(self._answer_fd)
        return set(marshal.loads(data)) if data else None  # noqa: S302 - of our own process

    def close(self) -> None:
        """End it if it runs."""
        os.close(self._answer_fd)
        self._process.kill()
        self._process.wait()


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, _PIECE_BYTES):
        pieces.append(piece)
    return b"".join(pieces)


def main(arguments: list[str]) -> None:
    """Be a scout: read the task, look, and write the answer."""
    source_fd, task_fd, answer_fd = map(int, arguments)
    os.lseek(task_fd, 0, os.SEEK_SET)
    digests, excludes, device, hidden = marshal.loads(_read_all(task_fd))  # noqa: S302 - of our own parent
    rules = Rules(excludes=excludes, device=device, hidden=frozenset(hidden))
    found = changed_among(source_fd, digests, rules)
    with os.fdopen(answer_fd, "wb") as file:
        file.write(marshal.dumps(list(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
