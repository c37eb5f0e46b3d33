"""Reading a store through, piece by piece, over days: every file against the hash that is its name.

A pass goes through the names in order, so that where it stands is one name, which survives restarts.
Files that come behind that place are read in the same pass, others in the next.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resile.errors import StoreDamagedError, StoreError
from resile.store.backends.port import Backend
from resile.store.checking import Flaw, hashed_windows
from resile.store.repairing import Mended, Origin, replace_file
from resile.store.replicating import FOLDERS
from resile.store.repository import Repository

FILES_PER_STEP_MAX = 64
"""Snapshots are files of a few hundred bytes: so many are read in one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step read.

    Args:
        size_bytes: So much.
        files: So many files were finished.
        position: The last name that is done; empty if none is yet.
        flaws: What is damaged; what is missing by now was removed on purpose, or `verify` tells.
        is_over: The pass is through.
    """

    size_bytes: int
    files: int
    position: str
    flaws: tuple[Flaw, ...]
    is_over: bool


class Scrub:
    """One pass over a store's files. Not thread-safe.

    Args:
        backend: What is read; a second store as well.
        position: The last name that an earlier part of this pass has done.
        step_bytes: About so much is read at once. Default 8 MiB: a window of `hashed_windows`.
    """

    def __init__(self, backend: Backend, *, position: str = "", step_bytes: int = 8 << 20) -> None:
        self._backend = backend
        self._position = position
        self._step_bytes = step_bytes
        self._name = ""
        self._windows: Iterator[bytes] = iter(())
        self._waiting: Iterator[str] | None = None

    def step(self) -> Step:
        """Read on.

        Raises:
            StoreError: If the store cannot be read for another reason than damage; the file that
                was being read is read anew.
        """
        if self._waiting is None:
            self._waiting = iter(_names_behind(self._backend, self._position))
        size_bytes = files = 0
        flaws: list[Flaw] = []
        try:
            while size_bytes < self._step_bytes and files < FILES_PER_STEP_MAX:
                if not self._name and not self._open_next():
                    return self._told(size_bytes, files, flaws, is_over=True)
                try:
                    window = next(self._windows, None)
                except StoreDamagedError as exc:
                    flaws += self._flaw(exc)
                    window = None
                if window is not None:
                    size_bytes += len(window)
                    continue
                self._position, self._name = self._name, ""
                files += 1
        except StoreError:
            self._name, self._waiting = "", None
            raise
        return self._told(size_bytes, files, flaws, is_over=False)

    def _open_next(self) -> bool:
        name = next(self._waiting or iter(()), "")
        if name:
            self._name, self._windows = name, hashed_windows(self._backend, name)
        return bool(name)

    def _flaw(self, error: StoreDamagedError) -> Iterator[Flaw]:
        folder = self._name.partition("/")[0]
        if any(file.name == self._name for file in self._backend.list(folder)):
            what = error.message.removeprefix(self._name).strip()
            yield Flaw(name=self._name, what=what)

    def _told(self, size_bytes: int, files: int, flaws: list[Flaw], *, is_over: bool) -> Step:
        return Step(
            size_bytes=size_bytes,
            files=files,
            position=self._position,
            flaws=tuple(flaws),
            is_over=is_over,
        )


def mend_file(
    repository: Repository, name: str, *, replicas: Sequence[Backend] = ()
) -> Mended | None:
    """Bring one damaged file back as it was, bit for bit; None if nobody has a good copy.

    What this cannot mend, `repair` stores again as far as it can.

    Args:
        repository: The store; its catalog must be in step.
        name: The damaged file; it goes to quarantine.
        replicas: Second stores, the best first.

    Raises:
        StoreError: If the store could not be written.
    """
    with repository.backend.hold(is_exclusive=False):
        for replica in replicas:
            with contextlib.suppress(StoreError):
                replace_file(repository.backend, name, hashed_windows(replica, name))
                return Mended(name=name, origin=Origin.REPLICA, detail=replica.url)
        kept = repository.catalog.snapshot_file(name)
        if kept is None:
            return None
        replace_file(repository.backend, name, [kept])
        return Mended(name=name, origin=Origin.CATALOG)


def mend_replica(replica: Backend, repository: Repository, name: str) -> None:
    """Bring one damaged file of a second store back from the first.

    Raises:
        StoreDamagedError: If the first has no good copy; nothing is changed.
        StoreError: If one of them fails.
    """
    replace_file(replica, name, hashed_windows(repository.backend, name))


def _names_behind(backend: Backend, position: str) -> list[str]:
    names = sorted(file.name for folder in FOLDERS for file in backend.list(folder))
    return [name for name in names if name > position]
