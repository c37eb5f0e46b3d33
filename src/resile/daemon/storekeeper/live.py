"""Comparing protected folders with their last snapshots, and bringing damaged files back."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from resile.core.clock import Clock
from resile.core.events import DataMended, DataMismatched
from resile.daemon.storekeeper.model import Pass
from resile.daemon.storekeeper.places import Folder, Store
from resile.daemon.storekeeper.telling import Teller
from resile.store import LiveCheck, Looked, Repository

logger = logging.getLogger(__name__)

STEP_BYTES = 8 << 20
FILES_PER_STEP_MAX = 256

Halt = Callable[[tuple[str, ...]], contextlib.AbstractContextManager[bool]]
"""Stops services while it is open; gives whether all of them are stopped."""


class Live:
    """Goes through protected folders piece by piece. Not thread-safe: for the worker alone.

    Args:
        store: The store.
        tell: Tells the journal.
        clock: Stamps and measures.
        halt: Stops the services that write to a folder, and starts those again that ran.
    """

    def __init__(self, store: Store, *, tell: Teller, clock: Clock, halt: Halt) -> None:
        self._store = store
        self._tell = tell
        self._clock = clock
        self._halt = halt
        self._passes: dict[str, tuple[Repository, Iterator[Looked]]] = {}
        self.found = self.mended = 0

    def go_on(self, folder: Folder, one: Pass) -> tuple[Pass, int]:
        """Read the next piece; give how far the pass is, and how much was read.

        A pass that was interrupted by a restart begins anew.

        Raises:
            ResileError: If the store fails, or a damaged file could not be brought back.
        """
        name = folder.plan.name
        if one.is_over or one.began_at is None or name not in self._passes:
            one = Pass(began_at=self._clock.now())
            self._passes.pop(name, None)
        try:
            with self._store.opened(is_fresh=False) as repository:
                return self._read_on(folder, one, repository)
        except BaseException:
            self._passes.pop(name, None)
            raise

    def _read_on(self, folder: Folder, one: Pass, repository: Repository) -> tuple[Pass, int]:
        name = folder.plan.name
        check = LiveCheck(repository, folder.plan.source, lock=folder.lock)
        known, looks = self._passes.get(name, (None, iter(())))
        if known is not repository:
            looks = check.looks()
            self._passes[name] = (repository, looks)
        size_bytes = files = flaws = 0
        while size_bytes < STEP_BYTES and files < FILES_PER_STEP_MAX:
            look = next(looks, None)
            if look is None:
                del self._passes[name]
                return _further(one, files, size_bytes, flaws, is_over=True), size_bytes
            size_bytes += look.size_bytes
            files += look.is_done
            if look.mismatch:
                flaws += 1
                self._mend(folder, check, look)
        return _further(one, files, size_bytes, flaws, is_over=False), size_bytes

    def _mend(self, folder: Folder, check: LiveCheck, look: Looked) -> None:
        """Tell it, halt the writers, and bring the kept content back, if it is still damaged then."""
        source, began_s = str(folder.plan.source), self._clock.monotonic()
        path = look.path.decode("utf-8", "backslashreplace")
        self.found += 1
        self._tell.tell(DataMismatched(source=source, path=path, what=look.mismatch))
        with self._halt(folder.plan.halt) as is_halted:
            if not is_halted:
                logger.error("storekeeper.not_halted", extra={"path": path})
                return
            if not check.is_mismatched(look.path):
                logger.error("storekeeper.changed_meanwhile", extra={"path": path})
                return
            snapshot_id = check.bring_back(look.path)
            self._tell.tell(
                DataMended(
                    source=source,
                    path=path,
                    snapshot_id=snapshot_id,
                    duration_s=self._clock.monotonic() - began_s,
                )
            )
            self.mended += 1


def _further(one: Pass, files: int, size_bytes: int, flaws: int, *, is_over: bool) -> Pass:
    return Pass(
        began_at=one.began_at,
        is_over=is_over,
        files=one.files + files,
        bytes=one.bytes + size_bytes,
        flaws=one.flaws + flaws,
    )
