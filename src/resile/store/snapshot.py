"""Taking a snapshot: walk, read what changed, write the folders, publish.

    walk (rows and digests) -> what looks as before is taken over -> readers put the rest into packs
      -> folders become tree blobs, the deepest first -> packs durable -> the snapshot's record

A crash before the last step leaves packs that no snapshot needs, and nothing else.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pwd import getpwuid

from resile.core.trees import FOLDER_FLAGS
from resile.errors import ConfigError, StoreError
from resile.store.before import Before, folders_gone, join
from resile.store.catalog import FolderRow
from resile.store.claims import Claims, shared_table
from resile.store.format.frames import FileKind
from resile.store.format.trees import Plain, encode_parts, encode_plain, name_of
from resile.store.ingest import Ingest, Packer
from resile.store.marks import doomed_packs
from resile.store.model import (
    DEPTH_MAX,
    ENTRIES_PER_TREE_MAX,
    Counts,
    Snapshot,
    Unread,
)
from resile.store.nodes import (
    LinkedError,
    Node,
    batches_of,
    companions,
    folder_entry,
    logged_databases,
    node_of,
    own_folders,
    refuse_links,
    root_entry,
    taken_over,
)
from resile.store.readers import Readers, path_text
from resile.store.reading import read_xattrs
from resile.store.repository import Repository
from resile.store.scouting import scouted
from resile.store.walk import CTIME, EVERYTHING, Facts, Row, Rules, encode_facts, scan

UNREAD_MAX = 1_000
"""So many paths that could not be read are listed in a snapshot; more are counted in the last."""
_PENDING_FOLDERS = 2_000
"""Folders that wait for their files: bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why files were read.

    Args:
        new: They were not there before.
        changed: Their size or time differs.
        touched: Only their ctime differs (moved, another owner, another file system).
        recent: They changed so shortly before the last snapshot that a change after it need not
            show.
    """

    new: int = 0
    changed: int = 0
    touched: int = 0
    recent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of it.

    Args:
        snapshot: As it is stored.
        why: Why files were read.
        is_changed: Something differs from the parent.
        is_reused: It is an earlier one that holds the same; none was taken.
    """

    snapshot: Snapshot
    why: Why
    is_changed: bool
    is_reused: bool = False


OnProgress = Callable[[int, int], None]
"""Called now and then with how many entries were seen and how many bytes they have."""


def take_snapshot(
    repository: Repository,
    source: Path,
    *,
    tags: tuple[str, ...] = (),
    rules: Rules = EVERYTHING,
    changed: frozenset[bytes] | None = None,
    on_progress: OnProgress | None = None,
    reuse_within_s: float = 0.0,
) -> Taken:
    """Take a snapshot of a folder; durable when it returns.

    What could not be read is listed in the snapshot; the rest is taken.

    Args:
        repository: Where to.
        source: The folder; links in its path are followed, below it none is.
        tags: What the user calls it.
        rules: What is left out, beside the store itself and its catalog.
        changed: Folders, as paths from the source on, in which something may have changed since the
            last snapshot, by somebody who watched; no other is looked at. None: nobody watched.
        on_progress: Is told how far it is.
        reuse_within_s: Where nothing differs from the last snapshot, and that is not older than
            this, it is given as it is, without `tags`. Default 0: one is taken each time.

    Raises:
        ConfigError: If `source` is no folder, or cannot be read.
        StoreError: If the store could not be written; there is no new snapshot then.
        OperationError: If a process that reads files was killed; there is none then either.
    """
    source = source.absolute()
    fd = _opened(source)
    try:
        with repository.backend.hold(is_exclusive=False):
            # Until it was held, anybody may have removed what the catalog still knows.
            repository.refresh()
            name = path_text(str(source))
            rules = replace(rules, hidden=rules.hidden | own_folders(repository))

            def look(changed: frozenset[bytes] | None, *, is_told: bool) -> Taken:
                before = Before(repository.catalog, name, changed=changed)
                with shared_table() as table_fd:
                    claims = Claims(table_fd)
                    ingest = Ingest(repository, doomed=doomed_packs(repository), claims=claims)
                    session = _Session(ingest, name, before, rules, on_progress, is_told=is_told)
                    return session.take(fd, tags, reuse_within_s=reuse_within_s)

            if changed is not None:
                with contextlib.suppress(LinkedError):
                    return look(changed, is_told=True)
            return look(scouted(repository.catalog, name, fd, rules), is_told=False)
    except OSError as exc:
        raise ConfigError(
            f"{source} cannot be read: {exc.strerror or exc}",
            hint="check its permissions, and whether its disk is there",
        ) from exc
    finally:
        os.close(fd)


def _opened(source: Path) -> int:
    try:
        return os.open(source, FOLDER_FLAGS & ~os.O_NOFOLLOW)
    except OSError as exc:
        raise ConfigError(
            f"{source} cannot be read as a folder: {exc.strerror}", hint="give a folder"
        ) from exc


class _Session:
    """One snapshot that is being taken. Not thread-safe."""

    def __init__(
        self,
        ingest: Ingest,
        source: str,
        before: Before,
        rules: Rules,
        on_progress: OnProgress | None,
        *,
        is_told: bool,
    ) -> None:
        self._is_told = is_told and before.is_partial
        self._repository = ingest.repository
        self._source = source
        self._before = before
        self._rules = rules
        self._on_progress = on_progress
        self._started_at = self._repository.clock.now()
        self._ingest = ingest
        self._readers = Readers(ingest)
        self._trees = Packer(ingest, FileKind.TREE_PACK)
        self._parent = self._find_parent()
        self._seen: set[bytes] = set()
        self._gone: list[bytes] = []
        self._waiting: deque[Node] = deque()
        self._fresh: dict[bytes, tuple[FolderRow, bytes]] = {}
        self._unread: list[Unread] = []
        self._unread_count = 0
        self._counts = self._parent.counts if before.is_partial and self._parent else Counts()
        self._new = self._changed = self._touched = self._recent = 0

    def take(self, fd: int, tags: tuple[str, ...], *, reuse_within_s: float) -> Taken:
        parent = self._parent
        try:
            root = self._visit(fd, "", None, 0, is_known=True)
            self._readers.end()
            self._settle(everything=True)
            self._trees.finish()
            self._readers.finish()
        except BaseException:
            self._readers.abandon()
            self._trees.abandon()
            raise
        found = self._found(fd, root, tags)
        # The source's own time moves with names that are left out.
        is_same = parent is not None and parent.root == replace(
            found.root, mtime_ns=parent.root.mtime_ns
        )
        reused = parent if is_same and _may_stand_for(parent, found, reuse_within_s) else None
        if reused is not None and not self._repository.has_snapshot(reused):
            reused = None  # The catalog knows it still.
        snapshot = reused or self._repository.put_snapshot(found)
        gone = [*self._gone, *self._before.gone(self._seen)]
        if reused is None or self._fresh or gone:
            self._repository.catalog.save_folders(
                self._source,
                f"snapshots/{snapshot.snapshot_id}",
                self._fresh,
                gone,
                version=self._before.version,
            )
        return Taken(
            snapshot=snapshot,
            why=Why(
                new=self._new,
                changed=self._changed,
                touched=self._touched,
                recent=self._recent,
            ),
            is_changed=not is_same,
            is_reused=reused is not None,
        )

    def _found(self, fd: int, root: Node, tags: tuple[str, ...]) -> Snapshot:
        """Make the record of what was found; it is in no store yet."""
        return Snapshot(
            snapshot_id="",
            source=self._source,
            host=_host(),
            user=_user(),
            started_at=self._started_at,
            finished_at=self._repository.clock.now(),
            root=root_entry(fd, root.tree),
            tags=tuple(sorted(set(tags))),
            parent=self._parent.snapshot_id if self._parent else "",
            counts=replace(
                self._counts,
                new_bytes=self._ingest.new_bytes,
                stored_bytes=self._ingest.stored_bytes,
            ),
            unread=self._all_unread(),
            excludes=self._rules.excludes,
            is_one_file_system=self._rules.device is not None,
        )

    def _find_parent(self) -> Snapshot | None:
        """Find the snapshot that this is compared with; a clock that went back does not matter."""
        found = [one for one in self._repository.snapshots() if one.source == self._source]
        seen = self._repository.catalog.seen_by(self._source).rpartition("/")[2]
        known = [one for one in found if one.snapshot_id == seen]
        return next(reversed(known or found), None)

    def _visit(self, fd: int, path: str, row: Row | None, depth: int, *, is_known: bool) -> Node:
        """Take a folder that is open, and all below it."""
        key = os.fsencode(path)
        scanned_ns = int(self._repository.clock.now().timestamp() * 1e9)
        found = scan(fd, path, self._rules)
        self._seen.add(key)
        old = self._before.row(key) if is_known else None
        looks_same = old is not None and old.digest == found.digest
        node = node_of(path, row, found, scanned_ns, as_before=old if looks_same else None)
        self._count(node, old)
        facts = self._before.facts(key, old) if old is not None and not looks_same else {}
        self._note_gone(path, facts, found.folders)
        for one in found.folders:
            was = one.facts if looks_same else facts.get(one.name)
            self._visit_below(fd, node, one, depth, was=was, is_known=is_known)
        if old is not None and looks_same and node.are_children_same:
            node.is_same, node.tree = True, old.tree
            node.forget()
            return node
        self._read(fd, node, found.rows(), old, facts, looks_same=looks_same)
        self._waiting.append(node)
        self._settle()
        return node

    def _visit_below(
        self, fd: int, node: Node, row: Row, depth: int, *, was: Facts | None, is_known: bool
    ) -> None:
        """Take a folder in a folder, or take it over unseen."""
        path = join(node.path, row.name)
        key = os.fsencode(path)
        if is_known and (unseen := self._before.unseen(key, row, was)) is not None:
            node.children.append(taken_over(path, row, unseen.tree))
            return
        if is_known and self._before.is_another(row, was):
            is_known = False
            self._forget_below(key)
        if depth >= DEPTH_MAX:
            self._note(Unread(path=path_text(path), reason=f"folders nest deeper than {DEPTH_MAX}"))
            return
        try:
            below = os.open(row.name, FOLDER_FLAGS, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError as exc:
            self._note(Unread(path=path_text(path), reason=exc.strerror or str(exc)))
            return
        try:
            child = self._visit(below, path, row, depth + 1, is_known=is_known)
            if was != row.facts:
                child.xattrs = read_xattrs(below)
        except OSError as exc:
            self._note(Unread(path=path_text(path), reason=exc.strerror or str(exc)))
            return
        finally:
            os.close(below)
        node.children.append(child)

    def _note_gone(self, path: str, facts: dict[str, Facts], folders: list[Row]) -> None:
        """Of a partial look, forget the folders that are gone, with all below them."""
        if self._before.is_partial:
            for name in folders_gone(facts, folders):
                self._forget_below(os.fsencode(join(path, name)))

    def _forget_below(self, key: bytes) -> None:
        was = self._before.below(key)
        self._gone.append(key)
        self._counts = replace(
            self._counts,
            files=self._counts.files - was.files,
            folders=self._counts.folders - was.folders,
            bytes=self._counts.bytes - was.bytes,
        )

    def _read(
        self,
        fd: int,
        node: Node,
        rows: list[Row],
        old: FolderRow | None,
        facts: dict[str, Facts],
        *,
        looks_same: bool,
    ) -> None:
        """Take over the entries that look as before, and have the others read."""
        if self._is_told and not looks_same:
            refuse_links(rows, facts)
        before = self._entries_before(old)
        to_read = []
        logged = set() if looks_same else logged_databases(rows, facts)
        superfluous = companions(fd, rows)
        for row in rows:
            entry = before.get(row.name)
            is_same = looks_same or facts.get(row.name) == row.facts
            if entry is not None and is_same and row.name not in logged:
                node.entries[row.name] = entry
            elif not row.is_folder and row.name not in superfluous:
                self._say_why(row, facts.get(row.name))
                to_read.append(row)
        for child in node.children:
            if child.row and child.xattrs is None and child.row.name not in node.entries:
                path = f"/proc/self/fd/{fd}/{child.row.name}"
                child.xattrs = read_xattrs(path, is_followed=False)
        for batch in batches_of(fd, node.path, to_read):
            node.batches.append(batch)
            self._readers.submit(batch)

    def _entries_before(self, old: FolderRow | None) -> dict[str, Plain]:
        if old is None:
            return {}
        try:
            entries = self._repository.plain_tree(old.tree)
        except StoreError:
            return {}  # It was forgotten, or is damaged: then all of the folder is read again.
        return {name_of(entry): entry for entry in entries}

    def _say_why(self, row: Row, facts: Facts | None) -> None:
        now = row.facts
        if facts is None:
            self._new += 1
        elif facts[:CTIME] != now[:CTIME]:
            self._changed += 1
        elif facts[CTIME]:
            self._touched += 1
        else:
            self._recent += 1

    def _settle(self, *, everything: bool = False) -> None:
        """Write the folders whose files are read; wait only if too many wait for theirs."""
        while self._waiting:
            node = self._waiting[0]
            must_wait = everything or len(self._waiting) > _PENDING_FOLDERS
            if not must_wait and not all(batch.done.is_set() for batch in node.batches):
                return
            for batch in node.batches:
                batch.done.wait()
            self._readers.check()
            self._waiting.popleft()
            self._write(node)

    def _write(self, node: Node) -> None:
        """Make a folder's tree blob; those below it are made."""
        for batch in node.batches:
            node.entries.update(batch.entries)
            for unread in batch.unread:
                self._note(unread)
        for child in node.children:
            node.entries[child.row.name] = folder_entry(child, node.entries.get(child.row.name))  # type: ignore[union-attr]
        found = node.looked_at()
        visited = {child.row.name for child in node.children if child.row}
        for row in found.folders:
            if row.name not in visited:
                node.entries.pop(row.name, None)
        names = (name for name, _ in found.found)
        node.tree = self._put_tree([node.entries[name] for name in names if name in node.entries])
        facts, is_lasting = encode_facts(found, node.scanned_ns)
        is_whole = not any(batch.unread for batch in node.batches) and len(visited) == node.folders
        self._fresh[os.fsencode(node.path)] = (
            FolderRow(
                digest=found.digest if is_lasting and is_whole else b"",
                tree=node.tree,
                files=node.files,
                bytes=node.size_bytes,
            ),
            facts,
        )
        node.forget()

    def _put_tree(self, entries: list[Plain]) -> bytes:
        if len(entries) <= ENTRIES_PER_TREE_MAX:
            return self._trees.put(encode_plain(entries))
        return self._trees.put(
            encode_parts(
                [
                    self._trees.put(encode_plain(entries[i : i + ENTRIES_PER_TREE_MAX]))
                    for i in range(0, len(entries), ENTRIES_PER_TREE_MAX)
                ]
            )
        )

    def _count(self, node: Node, old: FolderRow | None) -> None:
        """Count a folder; of a partial look, in place of what it was."""
        is_counted = self._before.is_partial and old is not None
        self._counts = replace(
            self._counts,
            files=self._counts.files + node.files - (old.files if is_counted and old else 0),
            folders=self._counts.folders + (not is_counted),
            bytes=self._counts.bytes + node.size_bytes - (old.bytes if is_counted and old else 0),
        )
        if self._on_progress is not None:
            self._on_progress(self._counts.files, self._counts.bytes)

    def _note(self, unread: Unread) -> None:
        self._unread_count += 1
        if len(self._unread) < UNREAD_MAX:
            self._unread.append(unread)

    def _all_unread(self) -> tuple[Unread, ...]:
        more = self._unread_count - len(self._unread)
        last = (Unread(path="", reason=f"and {more} more"),) if more else ()
        return (*self._unread, *last)


def _may_stand_for(parent: Snapshot | None, found: Snapshot, within_s: float) -> bool:
    """Tell whether a snapshot with the same content says all that another one would."""
    if parent is None or parent.unread or found.unread:
        return False
    # A clock that went back makes none young.
    age_s = (found.started_at - parent.started_at).total_seconds()
    return 0 <= age_s < within_s and (parent.host, parent.excludes, parent.is_one_file_system) == (
        found.host,
        found.excludes,
        found.is_one_file_system,
    )


def _host() -> str:
    # As socket.gethostname does, which would load sockets for it.
    return os.uname().nodename


def _user() -> str:
    with contextlib.suppress(KeyError):
        return getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())
