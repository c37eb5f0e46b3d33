"""A reader of files in a process of its own: both ends of it.

Packs, their place in the catalog and all that is written go their way in the worker; over the channel go
names, and what the folder's tree needs to know of them.
"""

import contextlib
import gc
import os
from dataclasses import astuple

from resile.core.trees import FOLDER_FLAGS
from resile.errors import OperationError, ResileError
from resile.store.claims import Claims
from resile.store.elsewhere import described, reopened
from resile.store.format.frames import FileKind
from resile.store.ingest import Ingest, Packer
from resile.store.model import Unread
from resile.store.readers import Batch, read_batch
from resile.store.workers import Worker
from resile.store.working import Plain, Serve

_COLLECT_EVERY = 50_000
_READY, _FINISH, _ABANDON = "ready", "finish", "abandon"


class FarReader:
    """Reads in a worker. Not thread-safe; to be left by `finish` or `abandon`.

    Args:
        ingest: For which; its claims are shared.

    Raises:
        OperationError, OSError: If there can be no worker, or it cannot do the work.
    """

    def __init__(self, ingest: Ingest) -> None:
        place = described(ingest.repository)
        if place is None or ingest.claims.fd < 0:
            raise OperationError("no other process can have the store")
        setup = (place, tuple(ingest.doomed), os.getpid(), ingest.claims.fd)
        self._ingest = ingest
        self._worker = Worker(f"{__name__}:serve", setup)
        try:
            self._worker.call(_READY)
        except BaseException:
            self._worker.close()
            raise

    def read(self, batch: Batch) -> None:
        """Have a batch read.

        Raises:
            OperationError: If the store cannot be written, or the worker ended.
        """
        task = (batch.folder_fd, batch.path, batch.rows)
        batch.entries, unread = self._worker.call(task)
        batch.unread = [Unread(path=p, reason=why, is_kept=kept) for p, why, kept in unread]

    def finish(self) -> None:
        """Have every pack published.

        Raises:
            OperationError: If the store cannot be written, or the worker ended.
        """
        new_bytes, stored_bytes = self._worker.call(_FINISH)
        self._ingest.count(new_bytes=new_bytes, stored_bytes=stored_bytes)

    def abandon(self) -> None:
        """Have the pack that is open thrown away, and end the worker. Idempotent."""
        with contextlib.suppress(ResileError):
            self._worker.call(_ABANDON)
        self._worker.close()


def serve(setup: Plain) -> Serve:
    """Be the other end.

    Raises:
        StoreError: If the catalog cannot be opened.
        OSError: If what the parent has open cannot be reached.
    """
    # What is made here goes by counting; looking through it all for cycles costs 5 %.
    gc.set_threshold(_COLLECT_EVERY)
    place, doomed, parent, claims_fd = setup
    fd = os.open(_opened_by(parent, claims_fd), os.O_RDWR | os.O_CLOEXEC)
    ingest = Ingest(reopened(place), doomed=frozenset(doomed), claims=Claims(fd))
    packer = Packer(ingest, FileKind.DATA_PACK)

    def work(task: Plain) -> Plain:
        if task == _READY:
            return None
        if task == _ABANDON:
            return packer.abandon()
        if task == _FINISH:
            packer.finish()
            return (ingest.new_bytes, ingest.stored_bytes)
        parent_fd, path, rows = task
        # By the descriptor of the folder, not by its path, which may lead elsewhere by now.
        folder_fd = os.open(_opened_by(parent, parent_fd), FOLDER_FLAGS & ~os.O_NOFOLLOW)
        try:
            batch = Batch(folder_fd=folder_fd, path=path, rows=rows)
            read_batch(batch, packer.put)
        finally:
            os.close(folder_fd)
        return (batch.entries, [astuple(one) for one in batch.unread])

    return work


def _opened_by(parent: int, fd: int) -> str:
    return f"/proc/{parent}/fd/{fd}"
