"""The store, the second store, and the folders: opened when they are needed, and again after a failure."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from resile.core.clock import Clock
from resile.core.events import StoreDamaged, StoreMended
from resile.daemon.storekeeper.model import FolderPlan, Plan
from resile.daemon.storekeeper.telling import Teller
from resile.errors import NotAStoreError
from resile.store import (
    Backend,
    Repository,
    Rules,
    Taken,
    Watch,
    create,
    make_key,
    mend_format,
    open_backend,
    open_store,
    read_key,
)

CACHE_NAME = "catalogs"
"""The keeper's own: what a command leaves in its catalog follows other rules of what is left out."""


class Store:
    """The store of this system. Each user opens it for itself; not thread-safe.

    Args:
        plan: Where it is.
        tell: Tells the journal when it could not be opened as it was.
        clock: Stamps what is written.
    """

    def __init__(self, plan: Plan, *, tell: Teller, clock: Clock) -> None:
        self._plan = plan
        self._tell = tell
        self._clock = clock
        self._repository: Repository | None = None

    @contextlib.contextmanager
    def opened(self, *, is_fresh: bool = True) -> Iterator[Repository]:
        """Give it; makes it if there is none and a folder is declared.

        Whatever fails inside, the next one opens it anew.

        Args:
            is_fresh: Bring its catalog in step first.

        Raises:
            ResileError: If it cannot be opened.
        """
        try:
            if self._repository is None:
                self._repository = self._open()
            elif is_fresh:
                self._repository.refresh()
            yield self._repository
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it. Idempotent."""
        repository, self._repository = self._repository, None
        if repository is not None:
            repository.close()

    def _open(self) -> Repository:
        backend = open_backend(self._plan.place)
        cache, key_file = self._plan.state / CACHE_NAME, self._plan.key_file
        key = read_key(key_file) if key_file is not None and key_file.exists() else None
        try:
            self._mend_format(backend, key)
            return open_store(backend, cache=cache, key=key, clock=self._clock)
        except NotAStoreError:
            if not self._plan.folders:
                raise
        if key_file is not None and key is None:
            key = make_key(key_file)
        return create(backend, cache=cache, key=key, clock=self._clock)

    def _mend_format(self, backend: Backend, key: bytes | None) -> None:
        replica = replica_of(self._plan)
        began_s = self._clock.monotonic()
        done = mend_format(backend, [replica] if replica else [], key=key)
        if done is not None:
            place, file = backend.url, done.name
            took_s = self._clock.monotonic() - began_s
            self._tell.tell(
                StoreDamaged(place=place, file=file, what="was missing or damaged"),
                StoreMended(place=place, file=file, origin=done.origin.value, duration_s=took_s),
            )


class Folder:
    """A folder that gets snapshots. Whoever takes one holds `lock`.

    Args:
        plan: What is declared of it.
        hidden: Folders that are left out wherever they are; they may come later.
    """

    def __init__(self, plan: FolderPlan, *, hidden: tuple[Path, ...] = ()) -> None:
        self.plan = plan
        self._hidden = hidden
        self.watch = Watch(plan.source, rules=self.rules)
        self.lock = threading.Lock()
        self.last: Taken | None = None
        """The snapshot that the watch's changes are counted from; None: look at everything."""
        self.told_trouble = ""
        """Why it is not watched, as far as that was told."""
        self.walked_s = float("-inf")
        """When everything was looked at last, monotonic."""

    @property
    def rules(self) -> Rules:
        """What is left out, as it is now."""
        hidden = set()
        for place in self._hidden:
            with contextlib.suppress(OSError):
                status = place.stat()
                hidden.add((status.st_dev, status.st_ino))
        return Rules(excludes=self.plan.excludes, hidden=frozenset(hidden))


def hidden_folders(plan: Plan) -> tuple[Path, ...]:
    """Name what no snapshot takes: the places that change with every snapshot."""
    replica = (Path(plan.replica_folder),) if plan.replica_folder else ()
    return (plan.state, *replica)


def replica_of(plan: Plan) -> Backend | None:
    """Give the second store; None if there is none."""
    return open_backend(plan.replica) if plan.replica else None
