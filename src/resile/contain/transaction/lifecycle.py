"""A transaction over folders: begin, seal, commit, discard."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resile.contain.model import WorkspaceDiff
from resile.contain.sandboxes.model import BindMount, OverlayMount
from resile.contain.transaction.bases import Base, ManifestBase, StampBase
from resile.contain.transaction.beginning import ENTRIES_MAX, make_transaction, remove_made
from resile.contain.transaction.copying import measure_fd, unpack
from resile.contain.transaction.listing import Listing
from resile.contain.transaction.model import (
    CommitResult,
    Sealed,
    SealedRecord,
    Skipped,
    Staging,
    TransactionRecord,
    TransactionState,
    Written,
)
from resile.contain.transaction.places import (
    marks_of,
    opened,
    root_fault,
    staged_paths,
    workspace_paths,
)
from resile.contain.transaction.records import (
    DISCARDED_NAME,
    DONE_NAME,
    MANIFEST_NAME,
    RECORD_NAME,
    SEALED_NAME,
    WAL_NAME,
    folder_of,
    read_record,
    read_sealed,
    staged_root,
    write_record,
)
from resile.contain.transaction.sealing import seal_workspace
from resile.contain.transaction.stamps import boot_id, clock_fault, take_stamp, threshold_ns
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.trees import FOLDER_FLAGS
from resile.errors import TransactionError
from resile.store.writeahead.files import TreeFiles

if TYPE_CHECKING:  # Committing is loaded by who commits: most runs change nothing.
    from resile.contain.transaction.committing import Places
    from resile.contain.transaction.wal import CommitLog

_MEASURED_MAX = 50_000
"""Entries that `measure` looks at: about 50 ms. A run that made more is over its limit anyway."""


def begin(
    folder: Path,
    workspaces: Sequence[Path],
    *,
    staging: Staging,
    locks: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
    files: TreeFiles | None = None,
    is_durable: bool = True,
) -> "Transaction":
    """Begin a transaction. With an overlay, the size of the workspaces does not matter.

    Args:
        folder: The run's private folder, outside of every workspace; made if needed. For an
            overlay its file system must be able to hold an upper folder.
        workspaces: The folders; none inside of another, no link, no mount inside.
        staging: Where changes go.
        locks: The folder of lock files, which all runs on a workspace must share. Default:
            `locks` beside `folder`.
        clock: Stamps the record, and waits for a tick of the file clock.
        files: The effects; tests give some that fail.
        is_durable: The record outlives a power cut when this returns. False saves two syncs: a
            commit makes it durable before it touches a workspace, and before that there is
            nothing to recover, only a folder to remove.

    Raises:
        TransactionError: If a workspace cannot take part, or the disk is full. Nothing is left
            behind but an empty folder.
    """
    begun = prepare(folder, workspaces, staging=staging, locks=locks, clock=clock, files=files)
    try:
        begun.note(is_durable=is_durable)
    except TransactionError:
        remove_made(begun.folder, len(begun.record.workspaces))
        raise
    begun.list_all()
    return begun


def prepare(
    folder: Path,
    workspaces: Sequence[Path],
    *,
    staging: Staging,
    locks: Path | None = None,
    changes: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
    files: TreeFiles | None = None,
) -> "Transaction":
    """Begin a transaction as `begin` does, but for what `Transaction.note` does.

    That must be called before anything of it is to be recovered: until then a crash leaves only
    a folder that nobody needs.

    Args:
        folder: As for `begin`.
        workspaces: Likewise.
        staging: Likewise.
        locks: Likewise.
        clock: Likewise.
        files: Likewise.
        changes: Where the logs of folders are in which commits are noted. None: nowhere.

    Raises:
        TransactionError: As `begin`.
    """
    tree_files = files or TreeFiles()
    place = folder.parent.resolve() / folder.name
    record = make_transaction(
        place, workspaces, staging=staging, locks=locks, files=tree_files, clock=clock
    )
    record = replace(record, changes=str(changes or ""))
    return Transaction(place, record, clock=clock, files=tree_files)


def open_transaction(
    folder: Path, *, clock: Clock = SYSTEM_CLOCK, files: TreeFiles | None = None
) -> "Transaction":
    """Open a transaction that was begun before, by any process.

    Raises:
        TransactionError: If there is none, or its record is damaged.
    """
    place = folder.parent.resolve() / folder.name
    try:
        record = read_record(place / RECORD_NAME, TransactionRecord)
    except FileNotFoundError as exc:
        raise TransactionError(
            f"{folder} holds no transaction", hint="It was not begun: the folder can be removed."
        ) from exc
    return Transaction(place, record, clock=clock, files=files or TreeFiles())


def state_of(folder: Path) -> TransactionState:
    """Tell where the transaction of a run's folder stands, from which files there are.

    Raises:
        TransactionError: If what is there is damaged.
    """
    if (folder / DISCARDED_NAME).exists():
        return TransactionState.DISCARDED
    if (folder / WAL_NAME).exists():
        return TransactionState.COMMITTING
    if not (folder / SEALED_NAME).exists():
        return TransactionState.OPEN
    is_rest = any(part.operations for part in read_sealed(folder).parts)
    is_over = (folder / DONE_NAME).exists() and not is_rest
    return TransactionState.COMMITTED if is_over else TransactionState.READY


def measure(folder: Path, *, entries_max: int = _MEASURED_MAX) -> Written:
    """Count what is in a folder, quickly: what changes meanwhile may be missed.

    Args:
        folder: An upper folder.
        entries_max: After so many it stops; the answer is then less than what there is.

    Raises:
        OSError: If the folder cannot be opened.
    """
    fd = os.open(folder, FOLDER_FLAGS)
    try:
        return measure_fd(fd, entries_max=entries_max)
    finally:
        os.close(fd)


class Transaction:
    """A transaction over one or more workspaces. Not thread-safe; get one by `begin`.

    Args:
        folder: The run's folder, absolute.
        record: What it is about.
        clock: Waits for locks.
        files: The effects.
    """

    def __init__(
        self, folder: Path, record: TransactionRecord, *, clock: Clock, files: TreeFiles
    ) -> None:
        self.folder = folder
        self.record = record
        self._clock = clock
        self._files = files
        self._listings: dict[int, Listing] = {}
        self._sealed: SealedRecord | None = None
        self._staged = staged_paths(folder, record)

    @property
    def state(self) -> TransactionState:
        """Where it stands."""
        state = state_of(self.folder)
        is_sealed = state is TransactionState.OPEN and self._sealed is not None
        return TransactionState.READY if is_sealed else state

    @property
    def workspaces(self) -> tuple[Path, ...]:
        """The workspaces."""
        return tuple(workspace_paths(self.record))

    @property
    def mounts(self) -> tuple[OverlayMount | BindMount, ...]:
        """What a sandbox mounts so that a command sees the workspaces and writes beside them."""
        return tuple(
            self._mount(number, workspace) for number, workspace in enumerate(self.workspaces)
        )

    @property
    def diffs(self) -> tuple[WorkspaceDiff, ...]:
        """What is left to be committed, for each workspace.

        Raises:
            TransactionError: If it is not sealed.
        """
        parts = self._what_is_sealed().parts
        return tuple(
            WorkspaceDiff(workspace=path, changes=part.changes)
            for path, part in zip(self.workspaces, parts, strict=True)
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the command made and no commit takes over.

        Raises:
            TransactionError: If it is not sealed.
        """
        return tuple(s for part in self._what_is_sealed().parts for s in part.skipped)

    @property
    def written(self) -> Written:
        """What the command had written when it was sealed.

        Raises:
            TransactionError: If it is not sealed.
        """
        return self._what_is_sealed().written

    def measure(self, *, entries_max: int = _MEASURED_MAX) -> Written:
        """Count what is written by now; see `measure`. Of a copy, what it grew."""
        total = [measure(path, entries_max=entries_max) for path in self._staged]
        before = [workspace.written for workspace in self.record.workspaces]
        return Written(
            bytes_=max(0, sum(w.bytes_ for w in total) - sum(w.bytes_ for w in before)),
            files=max(0, sum(w.files for w in total) - sum(w.files for w in before)),
        )

    def note(self, *, is_durable: bool = True) -> None:
        """Write down that it has begun, and list the names right in the workspaces.

        Args:
            is_durable: As for `begin`.

        Raises:
            TransactionError: If it could not be written.
        """
        path = self.folder / RECORD_NAME
        write_record(path, self.record, files=self._files.durable, is_durable=is_durable)
        for number, workspace in enumerate(self.record.workspaces):
            if not workspace.has_manifest:
                threshold = threshold_ns(self.record.stamp, is_coarse=workspace.is_coarse)
                self._listings[number] = Listing(Path(workspace.path), threshold)
                self._listings[number].list_root()

    def list_all(self) -> None:
        """List all folders in the background (see `listing`). Nothing happens the second time."""
        for listing in self._listings.values():
            listing.start()

    def wait_listed(self) -> None:
        """Wait until the folders are listed; for tests, and whoever wants no doubt."""
        for listing in self._listings.values():
            listing.wait_complete()

    def close(self) -> None:
        """Stop what runs in the background. May be called twice; all else can still be done."""
        for listing in self._listings.values():
            listing.stop()

    def seal(self, *, is_durable: bool = True) -> tuple[WorkspaceDiff, ...]:
        """Find out what the command changed, and what others changed since the beginning.

        To be called when the command has ended and its mounts are gone. Again: gives the same.

        Args:
            is_durable: What the command wrote is on the disk when this returns. False saves the
                syncs, for a commit or a discard that follows at once: after a power cut the
                changes are then lost, as if they had been discarded. Where there are none,
                nothing is written at all, and a new process finds the transaction open.

        Raises:
            TransactionError: If it cannot be read or written, nests folders too deep, or is past
                this.
        """
        self.close()
        if self.state is TransactionState.OPEN:
            try:
                self._seal(is_durable=is_durable)
            except OSError as exc:
                raise TransactionError(
                    f"the changes could not be read: {exc.strerror or exc}"
                    + (f" ({exc.filename})" if exc.filename else ""),
                    hint="Nothing was changed in the workspace: try again, or discard.",
                ) from exc
        return self.diffs

    def commit(self, paths: Sequence[str] = ()) -> CommitResult:
        """Bring the changes into the workspaces, all of them or none; durable when it returns.

        Args:
            paths: Relative to their workspace; what is at or below them is committed, a path
                inside of a new folder stands for the whole folder. Default: everything.

        Raises:
            ConflictError: If somebody changed what would be changed; every path is listed. The
                workspace is as it was, and the changes are kept.
            TransactionError: If it is not sealed, a path has no change, or the disk is full: the
                workspace is as it was. If it is left between: `recover` finishes or undoes it.
        """
        from resile.contain.transaction.committing import commit, places
        from resile.contain.transaction.selecting import check_known, selected

        sealed = self._ready()
        check_known(sealed.parts, paths)
        chosen = [selected(part, paths) for part in sealed.parts]
        if not (self.folder / SEALED_NAME).exists():
            self._write_sealed(sealed)
        self._sealed = None
        if not any(chosen):
            write_record(self.folder / DONE_NAME, {"steps": 0}, is_durable=False)
            return CommitResult(committed=0)
        with places(self.folder, self.record, files=self._files, clock=self._clock) as place:
            log = commit(place, sealed.parts, chosen)
            is_clean = _cleaned(place, log)
        return CommitResult(
            committed=sum(map(len, chosen)),
            pending=sum(len(part.operations) for part in log.pending),
            is_clean=is_clean,
        )

    def discard(self) -> None:
        """Forget the changes; the workspaces are as they were. Nothing happens the second time.

        Raises:
            TransactionError: If a commit of it is not finished, or the disk refuses.
        """
        self.close()
        state = self.state
        if state is TransactionState.COMMITTING:
            raise TransactionError(
                f"the transaction {self.folder.name} is past its commit point",
                hint="Undo it first: resile recover --undo",
            )
        if state is TransactionState.COMMITTED:
            return
        if state is not TransactionState.DISCARDED:
            write_record(
                self.folder / DISCARDED_NAME,
                {},
                files=self._files.durable,
                is_durable=state is TransactionState.READY and self._what_is_sealed().is_durable,
            )
        self._remove_staged()

    def _ready(self) -> SealedRecord:
        state = self.state
        if state is TransactionState.COMMITTING:
            raise TransactionError(
                f"a commit of the transaction {self.folder.name} is not finished",
                hint="Finish or undo it first: resile recover",
            )
        if state is TransactionState.DISCARDED:
            raise TransactionError(
                f"the transaction {self.folder.name} is discarded", hint="Run the command again."
            )
        sealed = self._what_is_sealed()
        if not sealed.is_durable and sealed.boot_id != boot_id():
            raise TransactionError(
                f"the changes of {self.folder.name} may be torn: the machine was restarted before "
                "they were on the disk",
                hint="Discard them, and run the command again.",
            )
        return sealed

    def _seal(self, *, is_durable: bool) -> None:
        with (
            opened(self.workspaces) as root_fds,
            opened(self._staged) as staged_fds,
        ):
            now = take_stamp(self.folder, clock=self._clock)
            fault = clock_fault(self.record.stamp, now)
            parts = tuple(
                self._sealed_part(number, staged_fds[number], root_fds[number], fault)
                for number in range(len(root_fds))
            )
            if is_durable and any(part.operations for part in parts):
                for fd in staged_fds:
                    self._files.sync_file_system(fd)
        record = SealedRecord(
            parts=parts,
            written=self.measure(entries_max=ENTRIES_MAX),
            is_durable=is_durable,
            boot_id=now.boot_id,
        )
        if is_durable or any(part.operations or part.skipped for part in parts):
            self._write_sealed(record)
        self._sealed = record

    def _write_sealed(self, record: SealedRecord) -> None:
        path = self.folder / SEALED_NAME
        write_record(path, record, files=self._files.durable, is_durable=record.is_durable)

    def _what_is_sealed(self) -> SealedRecord:
        """Give what `seal` has found, until a commit takes of it; else read it."""
        return self._sealed or read_sealed(self.folder)

    def _sealed_part(self, number: int, staged_fd: int, root_fd: int, fault: str) -> Sealed:
        workspace = self.record.workspaces[number]
        return seal_workspace(
            workspace.path,
            staged_fd,
            root_fd,
            marks=marks_of(self.folder, self.record, number),
            base=self._base(number),
            fault=fault or root_fault(workspace, root_fd, self.record),
        )

    def _base(self, number: int) -> Base:
        workspace = self.record.workspaces[number]
        if workspace.has_manifest:
            path = folder_of(self.folder, number) / MANIFEST_NAME
            data = read_record(path, dict[str, object])
            return ManifestBase(unpack(data).base)  # type: ignore[arg-type]
        threshold = threshold_ns(self.record.stamp, is_coarse=workspace.is_coarse)
        return StampBase(threshold, listing=self._listings.get(number))

    def _mount(self, number: int, workspace: Path) -> OverlayMount | BindMount:
        staged = staged_root(self.folder, number, self.record.staging)
        if self.record.staging is Staging.COPY:
            return BindMount(source=staged, target=workspace, is_writable=True)
        return OverlayMount(
            lower=workspace,
            upper=staged,
            work=staged.with_name("work"),
            target=workspace,
            is_unprivileged=self.record.staging is Staging.OVERLAY_USER,
        )

    def _remove_staged(self) -> None:
        fd = os.open(self.folder, FOLDER_FLAGS)
        try:
            for number in range(len(self.record.workspaces)):
                self._files.remove_tree(fd, folder_of(self.folder, number).name)
        except OSError as exc:
            raise TransactionError(
                f"the changes could not be removed: {exc.strerror or exc}",
                hint="They are discarded all the same; discard again to free the space.",
                is_transient=True,
            ) from exc
        finally:
            os.close(fd)


def _cleaned(place: "Places", log: "CommitLog") -> bool:
    """Clean up after a commit that is done; what cannot be cleaned now is left to `recover`."""
    from resile.contain.transaction.committing import finish

    try:
        finish(place, log)
    except TransactionError:
        return False
    return True
