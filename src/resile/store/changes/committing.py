"""Notes in the logs of the folders concerned what a contained run has committed.

The commit is done and durable by then. What the paths became is read from the folder itself: what
somebody has changed since (told by its inode and its change time) is noted as lost.
"""

import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import StoreDamagedError
from resile.store.changes.blobs import LocalBlobs
from resile.store.changes.content import INLINE_BYTES_MAX, ContentKeeper
from resile.store.changes.keeping import opened
from resile.store.changes.places import Place, all_places
from resile.store.model import DEPTH_MAX, ID_BYTES
from resile.store.nodes import root_entry
from resile.store.sqlite import companion_of, is_database
from resile.store.transactions import Content, Noted
from resile.store.walk import Rules
from resile.store.writeahead.steps import Step, StepKind
from resile.store.writeahead.trees import names_in, open_file, open_folder, open_parent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder that was committed to.

    Args:
        path: Where it is, without links.
        fd: It, open.
        steps: What the commit did in it.
        linked: Unchanged files that may have got further names by it.
    """

    path: Path
    fd: int
    steps: Sequence[Step]
    linked: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneCommit:
    """A commit that is done.

    Args:
        origin: Names it: the run, and what tells its commits apart.
        at: When it was done.
        done_ns: By the clock of files: what changed later was changed by somebody else.
    """

    origin: str
    at: datetime
    done_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A path that became something else.

    Args:
        source: Within the workspace.
        path: Within the log's folder.
        step: How; None: it only got further names.
    """

    source: str
    path: str
    step: Step | None


def note_commit(
    changes: Path,
    workspaces: Sequence[Workspace],
    done: DoneCommit,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> int:
    """Note a commit in each log that it concerns; durable when it returns. Idempotent by its origin.

    A log that is damaged gets nothing; `trim_log` begins a new one with the next snapshot.

    Args:
        changes: The folder `changes` of the system's state.
        workspaces: Whose lock the caller holds.
        done: The commit.
        clock: Waits for a log that is written to.

    Returns:
        In how many logs it is now.

    Raises:
        AlreadyRunningError: If a log is written to by somebody else for too long.
        StoreError: If one could not be written.
        TransactionError: If what a process left in flight in one cannot be taken back.
    """
    count = 0
    for place in all_places(changes):
        found = [(one, list(_targets(one, place))) for one in workspaces]
        if not any(targets for _, targets in found):
            continue
        if not place.folder.is_dir():
            logger.error("changes.folder_gone", extra={"folder": str(place.folder)})
            continue
        try:
            _note(place, found, done, clock)
        except StoreDamagedError as exc:
            fields = {"folder": str(place.folder), "reason": exc.message}
            logger.error("changes.not_noted", extra=fields)  # noqa: TRY400 - the sentence is all
        else:
            count += 1
    return count


def _note(
    place: Place,
    found: Sequence[tuple[Workspace, Sequence[_Target]]],
    done: DoneCommit,
    clock: Clock,
) -> None:
    blobs = LocalBlobs(place.blobs)
    keeper = ContentKeeper(blobs, done_ns=done.done_ns)
    with opened(place, clock=clock) as log:
        log.note(done.origin, _all_changes(place, found, keeper, blobs.sync), at=done.at)


def _all_changes(
    place: Place,
    found: Sequence[tuple[Workspace, Sequence[_Target]]],
    keeper: ContentKeeper,
    sync: Callable[[], None],
) -> Iterator[Noted]:
    """Give what became of each path; all blobs are durable at the end, before the commit's record."""
    rules = Rules(excludes=place.excludes)
    for workspace, targets in found:
        reader = _Reader(workspace.fd, rules, keeper)
        yield from reader.folders_above(targets)
        for target in targets:
            yield from reader.became(target)
    sync()


def _targets(workspace: Workspace, place: Place) -> Iterator[_Target]:
    """Translate paths of a workspace to those of the log's folder, which may lie in one another."""
    became: list[tuple[str, Step | None]] = [(step.path, step) for step in workspace.steps]
    became += [(path, None) for path in workspace.linked] if became else []
    if workspace.path.is_relative_to(place.folder):
        above = workspace.path.relative_to(place.folder).parts
        for source, step in became:
            path = "/".join((*above, *([] if source == "." else [source])))
            yield _Target(source=source, path=path, step=step)
    elif place.folder.is_relative_to(workspace.path):
        root = str(place.folder.relative_to(workspace.path))
        for source, step in became:
            if source == root or source.startswith(f"{root}/"):
                yield _Target(source=source, path=source[len(root) + 1 :], step=step)
            elif root.startswith(f"{source}/") and step and step.kind is not StepKind.ATTRIBUTES:
                yield _Target(source=root, path="", step=replace(step, kind=StepKind.SWAP))


class _Reader:
    """Reads what paths of a workspace became. Not thread-safe."""

    def __init__(self, root_fd: int, rules: Rules, keeper: ContentKeeper) -> None:
        self._root_fd = root_fd
        self._rules = rules
        self._keeper = keeper
        self._databases: set[str] = set()

    def folders_above(self, targets: Iterable[_Target]) -> Iterator[Noted]:
        """Give what the folders carry in which something changed, the topmost first."""
        found: dict[str, str] = {}
        for target in targets:
            source, path = target.source, target.path
            while path and source != ".":
                source, path = source.rpartition("/")[0] or ".", path.rpartition("/")[0]
                found[path] = source
        for path in sorted(found):
            try:
                with (
                    open_parent(self._root_fd, found[path]) as (folder_fd, name),
                    open_folder(folder_fd, name) as fd,
                ):
                    entry = root_entry(fd, bytes(ID_BYTES))
            except OSError:
                continue  # It went since; what it carried when it was there is a small loss.
            yield Noted(path=os.fsencode(path), entry=entry)

    def became(self, target: _Target) -> Iterator[Noted]:
        """Give what one path became, with all below it."""
        step = target.step
        database = companion_of(target.path)
        if database and self._has_database(companion_of(target.source)):
            target, step = replace(target, source=companion_of(target.source), path=database), None
            if database in self._databases:
                return
            self._databases.add(database)
        if step is None or step.kind is not StepKind.REMOVE:
            yield from self._put(replace(target, step=step))
        elif not self._is_left_out(target.path, os.fstat(self._root_fd)):
            yield Noted(path=os.fsencode(target.path))

    def _put(self, target: _Target) -> Iterator[Noted]:
        path, step = os.fsencode(target.path), target.step
        try:
            with open_parent(self._root_fd, target.source) as (folder_fd, name):
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                if self._is_left_out(target.path, status):
                    return
                if path and not _is_ours(target, status):
                    yield Noted(path=path, content=Content.LOST)
                elif step and step.kind is StepKind.ATTRIBUTES and not _is_small(status):
                    yield self._keeper.attributes(path, folder_fd, name, status)
                else:
                    if step and step.kind is StepKind.SWAP:
                        yield Noted(path=path)
                    yield from self._whole(target.path, folder_fd, name, status)
        except OSError:
            if not path:
                raise  # The folder itself: it is tried again.
            yield Noted(path=path, content=Content.LOST)

    def _has_database(self, source: str) -> bool:
        """Tell whether a path is a database: what its companions hold is in the copy of it."""
        try:
            with open_parent(self._root_fd, source) as (folder_fd, name):
                return _is_database(folder_fd, name)
        except OSError:
            return False

    def _whole(
        self, path: str, folder_fd: int, name: str, status: os.stat_result, depth: int = 0
    ) -> Iterator[Noted]:
        if not stat.S_ISDIR(status.st_mode) or depth > DEPTH_MAX:
            if (database := companion_of(name)) and _is_database(folder_fd, database):
                return
            yield self._keeper.whole(os.fsencode(path), folder_fd, name, status)
            return
        yield self._keeper.attributes(os.fsencode(path), folder_fd, name, status)
        with open_folder(folder_fd, name) as fd:
            for below in names_in(fd):
                found = os.stat(below, dir_fd=fd, follow_symlinks=False)
                inner = f"{path}/{below}" if path else below
                if not self._is_left_out(inner, found):
                    yield from self._whole(inner, fd, below, found, depth + 1)

    def _is_left_out(self, path: str, status: os.stat_result) -> bool:
        """Tell whether snapshots leave a path out, by itself or with a folder above it."""
        names = path.split("/") if path else []
        return any(
            self._rules.leave_out("/".join(names[:count]), names[count], status)
            for count in range(len(names))
        )


def _is_database(folder_fd: int, name: str) -> bool:
    try:
        with open_file(folder_fd, name) as fd:
            return stat.S_ISREG(os.fstat(fd).st_mode) and is_database(fd)
    except OSError:
        return False


def _is_small(status: os.stat_result) -> bool:
    """Tell whether a file's content costs nothing: it is noted then, though it is as before."""
    return stat.S_ISREG(status.st_mode) and status.st_size <= INLINE_BYTES_MAX


def _is_ours(target: _Target, status: os.stat_result) -> bool:
    """Tell whether what is there is still what the commit put there."""
    step = target.step
    if step is None or target.source != step.path:
        return True  # A part of what was put there.
    base = step.base.inode if step.base is not None else 0
    return status.st_ino == (base if step.kind is StepKind.ATTRIBUTES else step.staged_inode)
