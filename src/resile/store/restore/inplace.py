"""Restores in place: builds beside, then lets old and new change places at once."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.kernel import sync_file_system
from resile.core.trees import status_of
from resile.errors import ConfigError, OperationError, RejectedError
from resile.store.model import Entry
from resile.store.restore.building import TreeBuilder
from resile.store.restore.early import writing_early
from resile.store.restore.folders import FOLDER_MODE, identity_of, open_below, top_folder
from resile.store.restore.keeping import check_no_mounts, find_kept
from resile.store.restore.model import OnProgress, Reader, RestoreReport, shown
from resile.store.restore.selecting import Selection, select
from resile.store.restore.stages import OPEN, Gate, Place, Stage, make_stage
from resile.store.restore.tally import Tally
from resile.store.walk import EVERYTHING, Rules


class InPlaceRestore:
    """What was restored in place, with the old still kept. Not thread-safe.

    As a context manager it is undone if an exception comes, and finished otherwise.

    Args:
        report: What the restore did.
        stage: Where the old is.
        places: What was exchanged.
        kept: Paths that were carried over, from the live folder on.
    """

    def __init__(
        self, report: RestoreReport, stage: Stage, places: Sequence[Place], kept: tuple[str, ...]
    ) -> None:
        self.report = report
        self.kept = kept
        self._stage = stage
        self._places = places

    def finish(self) -> None:
        """Remove the old for good. Idempotent.

        Raises:
            OperationError: If something of it could not be removed; the new stays.
        """
        self._end("remove what was there before")

    def undo(self) -> None:
        """Bring the old back, and remove the new; nothing happens after `finish`.

        Raises:
            OperationError: If something could not be brought back; all is kept then.
        """
        if self._stage.fd >= 0:
            with _telling("bring back what was there before"):
                _take_all_back(self._stage, self._places)
        self._end("remove what was restored")

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, or undo if it went wrong."""
        if kind is None:
            self.finish()
        else:
            self.undo()

    def _end(self, what: str) -> None:
        if self._stage.fd >= 0:
            with _telling(what):
                self._stage.remove()
            self._stage.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """What is built and exchanged as one: a selected name, or the topmost missing folder to it.

    Args:
        path: Names from the folder that holds the stage.
        entry: What the snapshot has there.
        below: What of it is selected; None: all.
        label: The path of the folder that it is in, in the snapshot.
    """

    path: tuple[bytes, ...]
    entry: Entry
    below: Selection | None
    label: bytes

    @property
    def within(self) -> bytes:
        """Give its path in the snapshot; empty for the root."""
        return b"/".join(filter(None, (self.label, self.entry.name)))


def restore_in_place(
    folder: Path,
    root: Entry,
    reader: Reader,
    *,
    paths: Sequence[bytes] = (),
    rules: Rules = EVERYTHING,
    on_progress: OnProgress | None = None,
    clock: Clock = SYSTEM_CLOCK,
    gate: Gate = OPEN,
) -> InPlaceRestore:
    """Put a snapshot, or parts of it, where the live files are; durable when it returns.

    The new is built whole on the same file system, in `.resile-restore-HEX` beside the folder
    (with `paths`: in the folder), and then exchanged by one rename for the folder, or for each
    path. So every moment shows the old or the new, whole. Of several paths some may be exchanged
    when a crash comes; `recover` tells which. If anything of the new is lost in the store,
    nothing is exchanged.

    What the snapshot leaves out is carried over as it is: each path moves to the new right after the
    exchange, so for a moment it is not there. Folders to it that the snapshot has not are made.
    What the snapshot has all the same is restored.

    What is changed in the live folder while this runs is in the old: stop its writers first. A
    process that stands in the folder stays in the old one.

    Args:
        folder: The live folder; without `paths` it may be missing. A link is refused.
        root: The snapshot's root.
        reader: Where the content comes from.
        paths: Relative to the root; none: everything.
        rules: What the snapshot leaves out. Default: nothing; then nothing is carried over.
        on_progress: Called with files and bytes so far.
        clock: For the progress.
        gate: Passed before each step.

    Raises:
        ConfigError: If a path is not in the snapshot, or the folder is not there.
        RejectedError: If a path leads through something that is no folder now, something is mounted
            in what would be exchanged, or what is carried over has no place; nothing is changed.
        StoreDamagedError: If something is lost; the live files are as they were.
        StoreError: If the store fails as a whole; the live files are as they were.
        OperationError: If something could not be written or exchanged; likewise.
    """
    live = Path(os.path.abspath(folder))  # noqa: PTH100 - a link must stay one, to be refused
    selection = select(paths, root, reader)
    tally = Tally(on_progress, clock=clock)
    with _telling(f"restore {folder} in place"):
        home_fd = _open_home(live, selection)
        try:
            units = _units(home_fd, live, selection, root, reader)
            check_no_mounts(home_fd, [unit.path for unit in units])
            stage = make_stage(home_fd, gate=gate)
        except BaseException:
            os.close(home_fd)
            raise
        places = _prepare(stage, units, reader, tally, rules=rules, gate=gate)
        _put_all(stage, places)
    return InPlaceRestore(tally.report(), stage, places, _kept_in(units, places))


def _kept_in(units: Sequence[_Unit], places: Sequence[Place]) -> tuple[str, ...]:
    return tuple(
        shown(os.path.join(unit.within, path))  # noqa: PTH118 - these are bytes
        for unit, place in zip(units, places, strict=True)
        for path in place.kept
    )


def _open_home(live: Path, selection: Selection | None) -> int:
    """Open the folder that will hold the stage: the live one, or its parent if all is restored."""
    home = live.parent if selection is None else live
    if not live.name:
        raise RejectedError(
            "the root of the file system cannot be exchanged", hint="restore it to a folder"
        )
    try:
        parent_fd = os.open(live.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.dup(parent_fd) if selection is None else _open_live(parent_fd, live)
        finally:
            os.close(parent_fd)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"there is no folder {home}", hint="restore to a new folder instead: --to DIR"
        ) from exc


def _open_live(parent_fd: int, live: Path) -> int:
    try:
        return open_below(parent_fd, (os.fsencode(live.name),))
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _no_folder(shown(os.fsencode(live))) from exc
        raise


def _no_folder(path: str) -> RejectedError:
    return RejectedError(
        f"{path} is no folder now", hint="restore it as a whole, or to another folder: --to DIR"
    )


def _units(
    home_fd: int, live: Path, selection: Selection | None, root: Entry, reader: Reader
) -> list[_Unit]:
    """Tell what is exchanged; a selected path may be in folders that are missing now."""
    if selection is not None:
        return list(_selected_units(home_fd, selection, root, reader))
    name = os.fsencode(live.name)
    status = status_of(home_fd, name)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        raise _no_folder(str(live))
    return [_Unit(path=(name,), entry=root, below=None, label=b"")]


def _selected_units(
    home_fd: int, selection: Selection, root: Entry, reader: Reader
) -> Iterator[_Unit]:
    stack: list[tuple[tuple[bytes, ...], Entry, Selection]] = [((), root, selection)]
    while stack:
        path, folder, names = stack.pop()
        folder_fd = open_below(home_fd, path)
        try:
            for entry in reader.tree(folder.tree):
                if entry.name not in names:
                    continue
                below, here = names[entry.name], (*path, entry.name)
                status = status_of(folder_fd, entry.name)
                if below is None or status is None:
                    yield _Unit(path=here, entry=entry, below=below, label=b"/".join(path))
                elif stat.S_ISDIR(status.st_mode):
                    stack.append((here, entry, below))
                else:
                    raise _no_folder(shown(b"/".join(here)))
        finally:
            os.close(folder_fd)


def _prepare(
    stage: Stage,
    units: Sequence[_Unit],
    reader: Reader,
    tally: Tally,
    *,
    rules: Rules,
    gate: Gate,
) -> list[Place]:
    """Build it all and note what is going to be exchanged; durable. After a failure nothing is left."""
    try:
        places = _build_all(stage, units, reader, tally, rules=rules)
        tally.report().check_nothing_lost()
        gate("sync_file_system")
        sync_file_system(stage.fd)
        stage.write_record(places)
    except BaseException:
        _drop(stage)
        raise
    return places


def _build_all(
    stage: Stage, units: Sequence[_Unit], reader: Reader, tally: Tally, *, rules: Rules
) -> list[Place]:
    with writing_early(stage.fd):
        return [_build(stage, n, unit, reader, tally, rules=rules) for n, unit in enumerate(units)]


def _build(
    stage: Stage, index: int, unit: _Unit, reader: Reader, tally: Tally, *, rules: Rules
) -> Place:
    """Build one unit in its room."""
    room_fd = stage.make_room(index)
    try:
        room = top_folder(room_fd, is_ours=True, label=unit.label)
        if unit.entry.name:
            names = {unit.entry.name: unit.below}
            TreeBuilder(reader, room, room_fd, tally).build_some([unit.entry], names)
        else:
            _build_root(room_fd, unit, reader, tally)
        identity = identity_of(room_fd, unit.path[-1])
        kept = () if identity is None else _kept(stage, room_fd, unit, rules)
    finally:
        os.close(room_fd)
    if identity is None:
        tally.report().check_nothing_lost()
        raise OperationError(
            f"{shown(b'/'.join(unit.path))} could not be made: {tally.report().skipped[-1].reason}",
            hint="restore it as root",
        )
    return Place(path=unit.path, identity=identity, kept=kept)


def _kept(stage: Stage, room_fd: int, unit: _Unit, rules: Rules) -> tuple[bytes, ...]:
    """Name what is carried over to a unit that is built; of what is no folder now, nothing is."""
    try:
        live_fd = open_below(stage.home_fd, unit.path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        return find_kept(live_fd, room_fd, unit.path[-1], rules, within=os.fsdecode(unit.within))
    finally:
        os.close(live_fd)


def _build_root(room_fd: int, unit: _Unit, reader: Reader, tally: Tally) -> None:
    """Build the root of the snapshot, which has no name, under that of the live folder."""
    os.mkdir(unit.path[-1], FOLDER_MODE, dir_fd=room_fd)
    fd = open_below(room_fd, unit.path)
    try:
        top = top_folder(fd, is_ours=True)
        TreeBuilder(reader, top, fd, tally).build_all(unit.entry)
    finally:
        os.close(fd)


def _put_all(stage: Stage, places: Sequence[Place]) -> None:
    """Exchange every place, or none: after a failure the old is brought back."""
    try:
        for index, place in enumerate(places):
            stage.put(index, place)
    except BaseException:
        try:
            _take_all_back(stage, places)
        except OSError:
            stage.close()
        else:
            _drop(stage)
        raise


def _take_all_back(stage: Stage, places: Sequence[Place]) -> None:
    """Bring the old back in every place, the last one first; the first failure ends it."""
    for index in reversed(range(len(places))):
        stage.take_back(index, places[index])


def _drop(stage: Stage) -> None:
    """Remove a stage that holds nothing old; what cannot be removed `recover` finds."""
    with contextlib.suppress(OSError):
        stage.remove()
    stage.close()


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Turn what the system refuses into our error."""
    try:
        yield
    except OSError as exc:
        raise OperationError(
            f"could not {what}: {exc.strerror}",
            hint="a restore in place needs room for a second copy, the right to rename, and a "
            "folder that is no mount point; see what is left: .resile-restore-*",
        ) from exc
