"""A transaction over a folder for Python code: `with transaction(folder) as copy:`."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from resile.contain.places import runs_folder
from resile.contain.transaction.lifecycle import Transaction, open_transaction, prepare
from resile.contain.transaction.model import Recovery, Staging, TransactionState
from resile.contain.transaction.recovering import recover
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import SYSTEM_FILES, FileLock, make_private_dir, try_lock
from resile.core.ids import new_id
from resile.core.trees import remove_tree
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import OperationError, TransactionError
from resile.store.writeahead.model import CHANGES_NAME

_PREFIX = "tx_"
_ALIVE_NAME = "alive"


@contextlib.contextmanager
def transaction(
    folder: str | os.PathLike[str],
    *,
    runs: Path | None = None,
    state: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Path]:
    """Work on a copy of a folder, and bring all of what changed into it, or nothing.

    Leaving the block commits; an exception discards, and passes through. The copy shares its
    blocks with the folder where the file system can (btrfs, XFS, on one file system), so that
    only what is changed takes space. Blocks of dead processes are ended first (`sweep`).

    Args:
        folder: The folder. While the block runs, everybody sees it as it was.
        runs: Where the copy is kept. Default: as `resile run` (`RESILE_RUNS_DIR`).
        state: The state folder of the system whose log of the folder notes what is committed, so
            that `resile restore --at` knows it. Default: of the one that this process belongs to
            (RESILE_STATE_DIR); if it belongs to none, nothing is noted.
        clock: Stamps the record.

    Raises:
        ConflictError: On leaving, if somebody changed what was changed here too; every path is
            listed, the folder is as they left it, and what the block did is gone.
        TransactionError: If the folder cannot be copied, or the disk is full: the folder is as it
            was.
    """
    place = runs or runs_folder(os.environ)
    changes = _changes_of(state)
    run, lock = _make_run(place, clock=clock)
    with lock:
        sweep(place, clock=clock)
        try:
            begun = prepare(run, [Path(folder)], staging=Staging.COPY, changes=changes, clock=clock)
            begun.note(is_durable=False)
            begun.list_all()
            yield staged_folder(begun)
            begun.seal(is_durable=False)
            begun.commit()
        finally:
            _remove(run)


def _changes_of(state: Path | None) -> Path | None:
    """Give where the logs of folders are; None if there is no system."""
    named = state or os.environ.get(STATE_VARIABLE)
    return Path(named).absolute() / CHANGES_NAME if named else None


def staged_folder(begun: Transaction) -> Path:
    """Give the copy that a transaction with COPY works on."""
    return begun.folder / "w0" / "copy"


def sweep(runs: Path, *, clock: Clock = SYSTEM_CLOCK) -> dict[str, Recovery]:
    """End the transactions of Python code whose process died: finish a commit, or discard.

    Args:
        runs: Where they are kept.
        clock: Waits for locks.

    Returns:
        What was done, by the names of their folders. One that cannot be ended now stays.
    """
    done: dict[str, Recovery] = {}
    if not runs.is_dir():
        return done
    for run in sorted(runs.glob(f"{_PREFIX}*")):
        lock = try_lock(run / _ALIVE_NAME)
        if lock is None:
            continue
        with lock, contextlib.suppress(TransactionError):
            done[run.name] = _ended(run, clock=clock)
    return done


def _ended(run: Path, *, clock: Clock) -> Recovery:
    try:
        open_transaction(run)
    except TransactionError:
        shutil.rmtree(run)
        return Recovery.CLEANED
    recovered = recover(run, clock=clock)
    _remove(run)
    return recovered.action


def _make_run(place: Path, *, clock: Clock) -> tuple[Path, FileLock]:
    """Make a folder that `sweep` finds only when it is locked."""
    run = place / new_id("tx", at=clock.now())
    hidden = place / f".{run.name}"
    try:
        make_private_dir(place)
        make_private_dir(hidden)
        lock = try_lock(hidden / _ALIVE_NAME)
        SYSTEM_FILES.replace(hidden, run)
    except OperationError as exc:
        raise TransactionError(exc.message, hint=exc.hint) from exc
    if lock is None:
        raise AssertionError(f"a new folder {run} is locked")
    return run, lock


def _remove(run: Path) -> None:
    """Remove what is over; a commit that is between its two ends stays for `sweep`."""
    try:
        begun = open_transaction(run)
    except TransactionError:
        _remove_folder(run)
        return
    if begun.state is not TransactionState.COMMITTING:
        begun.discard()
        _remove_folder(run)


def _remove_folder(run: Path) -> None:
    fd = os.open(run.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # What stays is swept later.
            remove_tree(fd, run.name)
    finally:
        os.close(fd)
